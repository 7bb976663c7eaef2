// SPDX-License-Identifier: Apache-2.0

// Package urltest makes URLs for tests, as dubbo-go makes them.
package urltest

import (
	"net/url"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
)

// Protocols are those that the process of a test has: none that would connect.
var Protocols = []string{"tri", "dubbo", "rest", "grpc"}

func init() {
	for _, name := range Protocols {
		extension.SetProtocol(name, func() base.Protocol { return nil })
	}
}

// Greeter is the service of the tests that need only one.
const Greeter = "org.example.Greeter"

// URL makes a URL as server/action.go and client/action.go of dubbo-go do;
// params are pairs of a name and a value.
func URL(protocol, ip, port, path string, params ...string) *common.URL {
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	return common.NewURLWithOptions(common.WithProtocol(protocol), common.WithIp(ip), common.WithPort(port),
		common.WithPath(path), common.WithParams(values))
}

// Provider is a URL as a provider registers it, with more parameters.
func Provider(params ...string) *common.URL {
	u := URL("tri", "10.0.0.1", "20000", Greeter, append([]string{
		constant.InterfaceKey, Greeter, constant.RegistryRoleKey, "3", constant.SideKey, "provider", constant.TimestampKey, "1700000000",
	}, params...)...)
	u.Methods = []string{"Greet", "Wave"}
	return u
}

// Consumer is a URL as a reference registers and subscribes it.
func Consumer(params ...string) *common.URL {
	return URL("tri", "10.0.0.2", "", Greeter, append([]string{
		constant.InterfaceKey, Greeter, constant.RegistryRoleKey, "0", constant.SideKey, "consumer", constant.TimestampKey, "1700000000",
	}, params...)...)
}
