// SPDX-License-Identifier: Apache-2.0

// Package failback_test breaks etcd and the network in every way a registry
// has to survive, and looks whether both sides of it are exact again
// afterwards: providers' keys in etcd, and consumers' lists.
package failback_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"go.uber.org/goleak"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	testkit.Main(m,
		// When a toxic closes a connection, toxiproxy forgets those that have
		// bytes for it: they wait for ever (v2.6.0, limit_data.go, timeout.go).
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
	)
}
