// SPDX-License-Identifier: Apache-2.0

// Package show prints which extensions the framework has under the name etcdv3.
package show

import (
	"fmt"
	"os"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
)

// Extensions prints the types of the factories of the config center and of the
// metadata report, and of the registry that dubbo-go makes for an address where
// nothing listens: a line each, "extension <name> <type>".
func Extensions() {
	const address = "127.0.0.1:1"
	center, _ := extension.GetConfigCenterFactory("etcdv3") // dubbo-go has none of its own
	fmt.Printf("extension config-center %T\n", center)
	fmt.Printf("extension metadata-report %T\n", extension.GetMetadataReportFactory("etcdv3"))
	u, err := common.NewURL("etcdv3://"+address, common.WithLocation(address),
		common.WithParamsValue(constant.RegistryTimeoutKey, "100ms"))
	if err == nil {
		r, failed := extension.GetRegistry("etcdv3", u)
		err = failed
		fmt.Printf("extension registry %T\n", r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
