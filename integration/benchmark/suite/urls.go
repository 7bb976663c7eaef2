// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"net/url"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// usual are parameters that URLs of the framework have, which are longer.
var usual = []string{
	constant.ApplicationKey, "greeter", constant.ClusterKey, "failover", constant.LoadbalanceKey, "random",
	constant.SerializationKey, "protobuf", constant.ReleaseKey, "dubbo-golang-3.3.2",
}

func serviceName(i int) string { return fmt.Sprintf("com.example.Greeter%04d", i) }

// provider is the i-th of all providers, each of which has an address.
func provider(service string, i int) *common.URL {
	return withMethods(testkit.Provider(service, testkit.Address(i), usual...))
}

func consumer(service string) *common.URL { return withMethods(testkit.Consumer(service, usual...)) }

func withMethods(u *common.URL) *common.URL {
	u.Methods = []string{"Greet", "GreetStream", "GreetMany"}
	return u
}

// pathOf is the path of a service's providers, in etcd as in ZooKeeper.
func pathOf(service string) string { return "/dubbo/" + service + "/providers/" }

func keyOf(u *common.URL) string { return pathOf(u.Service()) + url.QueryEscape(u.String()) }

// fleet are the keys of n providers, of some services in turn.
func fleet(n, services int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = keyOf(provider(serviceName(i%services), i))
	}
	return keys
}
