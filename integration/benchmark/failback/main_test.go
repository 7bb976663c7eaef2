// SPDX-License-Identifier: Apache-2.0

// Package failback_test measures how long it takes until everything is as it
// was, and what that costs etcd.
package failback_test

import (
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// patience is how long a benchmark waits before it fails.
const patience = 2 * time.Minute

// newRegistry asks the framework for the registry at an address.
func newRegistry(b *testing.B, address string, session time.Duration) registry.Registry {
	b.Helper()
	return testkit.NewRegistry(b, address, "session", session.String(), "file-cache", "false", constant.RegistryTimeoutKey, "60s")
}

// provider and consumer are URLs that have about as many parameters as those of
// the framework.
func provider(service, hostPort string) *common.URL {
	return withMethods(testkit.Provider(service, hostPort, usual...))
}

func consumer(service string) *common.URL { return withMethods(testkit.Consumer(service, usual...)) }

var usual = []string{
	constant.ApplicationKey, "greeter", constant.ClusterKey, "failover", constant.LoadbalanceKey, "random",
	constant.SerializationKey, "protobuf", constant.ReleaseKey, "dubbo-golang-3.3.2",
}

func withMethods(u *common.URL) *common.URL {
	u.Methods = []string{"Greet", "GreetStream", "GreetMany"}
	return u
}
