// SPDX-License-Identifier: Apache-2.0

// Command builtin uses the metadata report that dubbo-go has built in, which the
// registry's import would replace:
//
//	builtin <address> map <interface> <application>
//	builtin <address> mapping <interface>
//	builtin <address> publish <application> <revision>
//	builtin <address> metadata <application> <revision>
//	builtin <address> revisions <application>
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	_ "dubbo.apache.org/dubbo-go/v3/metadata/report/etcd"
)

func main() {
	result, err := run(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("result:", result)
}

func run(address, command string, args []string) (string, error) {
	u, err := common.NewURL(address, common.WithProtocol("etcdv3"), common.WithLocation(address))
	if err != nil {
		return "", err
	}
	r := extension.GetMetadataReportFactory("etcdv3").CreateMetadataReport(u)
	switch command {
	case "map":
		return "", r.RegisterServiceAppMapping(args[0], "mapping", args[1])
	case "mapping":
		set, err := r.GetServiceAppMapping(args[0], "mapping", nil)
		if err != nil {
			return "", err
		}
		var names []string
		for _, name := range set.Values() {
			names = append(names, name.(string))
		}
		slices.Sort(names)
		return strings.Join(names, " "), nil
	case "publish":
		return "", r.PublishAppMetadata(args[0], args[1], &info.MetadataInfo{App: args[0], Revision: args[1], LastUpdatedTime: 7})
	case "metadata":
		meta, err := r.GetAppMetadata(args[0], args[1])
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s %s %d service(s)", meta.App, meta.Revision, len(meta.Services)), nil
	default:
		revisions, err := r.ListAppRevisions(args[0])
		return fmt.Sprint(revisions), err
	}
}
