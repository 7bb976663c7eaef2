// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// Timestamp is that of the URLs of providers and consumers: when the process
// started.
const Timestamp = "1700000000"

// Names in params that are no parameters of a URL.
const (
	userName = "testkit.username"
	passWord = "testkit.password"
)

// As adds to params that the user logs in to etcd with the password.
func As(user, password string, params ...string) []string {
	return append([]string{userName, user, passWord, password}, params...)
}

// With sets params in a URL, pairs of a name and a value, and the user of As.
func With(params ...string) common.Option {
	return func(u *common.URL) {
		for i := 0; i < len(params); i += 2 {
			switch name, value := params[i], params[i+1]; name {
			case userName:
				u.Username = value
			case passWord:
				u.Password = value
			default:
				u.SetParam(name, value)
			}
		}
	}
}

// Address is that of provider i: nobody listens there.
func Address(i int) string { return fmt.Sprintf("10.%d.%d.%d:20000", i/65536, i/256%256, i%256) }

// Provider is a URL as the framework registers it.
func Provider(service, hostPort string, params ...string) *common.URL {
	return ServiceURL("tri", service, hostPort, append([]string{
		constant.RegistryRoleKey, "3", constant.SideKey, "provider", constant.TimestampKey, Timestamp, constant.TokenKey, Token,
	}, params...)...)
}

// Consumer is a URL as the framework registers and subscribes it.
func Consumer(service string, params ...string) *common.URL {
	return ServiceURL("tri", service, "", append([]string{
		constant.RegistryRoleKey, "0", constant.SideKey, "consumer", constant.TimestampKey, Timestamp, constant.TokenKey, Token,
	}, params...)...)
}

// ServiceURL is a URL of a service that has the method Greet, of no side unless
// params name it.
func ServiceURL(protocol, service, hostPort string, params ...string) *common.URL {
	ip, port, _ := strings.Cut(hostPort, ":")
	return common.NewURLWithOptions(common.WithProtocol(protocol), common.WithIp(ip), common.WithPort(port),
		common.WithPath(service), common.WithMethods([]string{"Greet"}), common.WithInterface(service), With(params...))
}
