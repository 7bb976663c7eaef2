// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// dubbo-go refuses two registries at one address, unless their namespaces
// differ.
func TestTwoRegistriesOfAProcessShareOneLeaseAndOneConnection(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	blue := registrySpec{Address: proxy.Addr(), Group: "blue", Session: long}
	green := registrySpec{Address: proxy.Addr(), Group: "green", Namespace: "tenant", Session: long}

	both := provider(t, etcd, "a", long)
	both.Registries = []registrySpec{blue, green}
	both.References = []service{other}
	a := start(t, both)
	prefixes := []string{
		"/blue/org.e2e.Greet/providers/", "/tenant/green/org.e2e.Greet/providers/",
		"/blue/org.e2e.Other/consumers/", "/tenant/green/org.e2e.Other/consumers/",
	}
	var registered []key
	for _, prefix := range prefixes {
		registered = append(registered, awaitKeys(t, etcd, prefix, 1)...)
	}
	requireLeases(t, etcd, registered...)
	assert.Len(t, testkit.Leases(t, etcd.Client()), 1)
	assert.Equal(t, 1, proxy.Accepted())
	assert.Empty(t, keys(t, etcd, "/dubbo/"))

	// Each registry has its own: a consumer of one finds a provider there.
	direct := green
	direct.Address = etcd.Endpoint()
	onlyGreen := consumer(etcd, long)
	onlyGreen.Registries = []registrySpec{direct}
	c := start(t, onlyGreen)
	awaitCalls(t, c, greet, a)
	otherProvider := provider(t, etcd, "b", long, other)
	otherProvider.Registries = []registrySpec{direct}
	b := start(t, otherProvider)
	awaitCalls(t, a, other, b)

	a.terminate()
	a.awaitEnd()
	for _, prefix := range prefixes[:2] {
		assert.Empty(t, keys(t, etcd, prefix))
	}
	assert.Len(t, testkit.Leases(t, etcd.Client()), 2, "of the two other processes")
}
