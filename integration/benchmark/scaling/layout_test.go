// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"fmt"
	"net/url"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// The fleet: process i provides the service of its block of 25, and has
// references to that service and to the next one. So a service has 25 providers
// and 50 consumers, however large the fleet is.
const (
	block      = 25
	references = 2
)

func service(b int) string { return fmt.Sprintf("com.example.shop.Service%05d", b) }

// sizeOf is how many providers service b has in a fleet.
func sizeOf(b, processes int) int { return min(max(0, processes-b*block), block) }

// consumersOf is how many consumers service b has in a fleet.
func consumersOf(b, processes int) (n int) {
	for r := range references {
		if b >= r {
			n += sizeOf(b-r, processes)
		}
	}
	return n
}

// blocks is how many services have providers.
func blocks(processes int) int { return (processes + block - 1) / block }

// Addresses of providers: those of the fleet's processes, those that another
// program puts while etcd is away, and those that come and go.
func fleetAddress(i int) string        { return testkit.Address(i) }
func addedAddress(round, b int) string { return testkit.Address(1<<20 + round<<12 + b) }
func changingAddress(k int) string     { return testkit.Address(1<<23 + k%(1<<20)) }

// providersOf are the addresses of service b after some rounds.
func providersOf(b, processes, rounds int) (all []string) {
	for i := b * block; i < b*block+sizeOf(b, processes); i++ {
		all = append(all, fleetAddress(i))
	}
	for round := range rounds {
		all = append(all, addedAddress(round, b))
	}
	return all
}

// usual are parameters that the framework has in its URLs: with them a key of a
// provider has some 400 bytes.
var usual = []string{
	constant.ApplicationKey, "organisation-of-the-shop", constant.AppVersionKey, "1.0.0", constant.EnvironmentKey, "production",
	constant.ClusterKey, "failover", constant.LoadbalanceKey, "random", constant.SerializationKey, "protobuf",
	constant.ReleaseKey, "dubbo-golang-3.3.2", constant.RetriesKey, "2", constant.WeightKey, "100", constant.WarmupKey, "100",
}

// sentKey is when a provider that comes and goes was registered, in nanoseconds.
const sentKey = "sent"

func provider(b int, address string, more ...string) *common.URL {
	return testkit.Provider(service(b), address, append(more, usual...)...)
}

func consumer(b, i int) *common.URL {
	u := testkit.Consumer(service(b), usual...)
	u.Ip, _, _ = strings.Cut(fleetAddress(i), ":") // a key of its own
	return u
}

// providerKey is the key of a provider that another program puts.
func providerKey(b int, address string) string {
	u := fmt.Sprintf("tri://%s/%s?interface=%s&timestamp=1", address, service(b), service(b))
	return "/dubbo/" + service(b) + "/providers/" + url.QueryEscape(u)
}
