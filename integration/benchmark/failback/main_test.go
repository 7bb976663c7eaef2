// SPDX-License-Identifier: Apache-2.0

// Package failback_test measures how long it takes until everything is as it
// was, and what that costs etcd.
package failback_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// patience is how long a benchmark waits before it fails.
const patience = 2 * time.Minute

// newRegistry asks the framework for the registry at an address.
func newRegistry(b *testing.B, address string, session time.Duration) registry.Registry {
	b.Helper()
	params := url.Values{"session": {session.String()}, "file-cache": {"false"}, constant.RegistryTimeoutKey: {"60s"}}
	u, err := common.NewURL("etcdv3://"+address, common.WithParams(params), common.WithLocation(address))
	if err != nil {
		b.Fatal(err)
	}
	r, err := extension.GetRegistry("etcdv3", u)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Destroy)
	return r
}

func provider(service, hostPort string) *common.URL {
	return serviceURL(service, hostPort, "3", "provider")
}

func consumer(service string) *common.URL { return serviceURL(service, "", "0", "consumer") }

// serviceURL has about as many parameters as those of the framework have.
func serviceURL(service, hostPort, role, side string) *common.URL {
	ip, port, _ := strings.Cut(hostPort, ":")
	return common.NewURLWithOptions(common.WithProtocol("tri"), common.WithIp(ip), common.WithPort(port),
		common.WithPath(service), common.WithMethods([]string{"Greet", "GreetStream", "GreetMany"}), common.WithParams(url.Values{
			constant.InterfaceKey: {service}, constant.RegistryRoleKey: {role}, constant.SideKey: {side},
			constant.TimestampKey: {"1700000000"}, constant.ApplicationKey: {"greeter"}, constant.ClusterKey: {"failover"},
			constant.LoadbalanceKey: {"random"}, constant.SerializationKey: {"protobuf"}, constant.ReleaseKey: {"dubbo-golang-3.3.2"},
		}))
}
