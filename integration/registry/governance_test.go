// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"maps"
	"net/url"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/protocol/invocation"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// entry is the key of a URL of org.a.Greeter under a category.
func entry(category, raw string) string {
	return "/dubbo/org.a.Greeter/" + category + "/" + url.QueryEscape(raw)
}

// anOverride is a rule for everybody, as dubbo-admin writes it.
func anOverride(params string) string {
	return "override://0.0.0.0/org.a.Greeter?category=configurators&dynamic=false&enabled=true&" + params
}

func put(t testing.TB, etcd *etcdtest.Server, keys ...string) {
	t.Helper()
	for _, key := range keys {
		_, err := etcd.Client().Put(context.Background(), key, "")
		require.NoError(t, err)
	}
}

func remove(t testing.TB, etcd *etcdtest.Server, keys ...string) {
	t.Helper()
	for _, key := range keys {
		_, err := etcd.Client().Delete(context.Background(), key)
		require.NoError(t, err)
	}
}

// follow makes a directory that is told of changes.
func follow(t testing.TB, r registry.Registry, params ...string) directory.Directory {
	t.Helper()
	d := newDirectory(t, r, "org.a.Greeter", params...)
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))
	return d
}

// offered returns a parameter of the invokers that a directory offers, by their
// port.
func offered(d directory.Directory, name string) map[string]string {
	values := map[string]string{}
	for _, i := range d.List(invocation.NewRPCInvocation("Greet", nil, nil)) {
		values[i.GetURL().Port] = i.GetURL().GetParam(name, "")
	}
	return values
}

// requireOffered waits until the invokers of a directory are those of these
// ports, with these values of a parameter.
func requireOffered(t testing.TB, d directory.Directory, name string, want map[string]string) {
	t.Helper()
	var got map[string]string
	require.True(t, eventually(func() bool {
		got = offered(d, name)
		return maps.Equal(got, want)
	}), "the directory offers %s of %v, want %v", name, got, want)
}

func TestAnOverrideHoldsForTheInvokersOfAConsumerUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(provider("org.a.Greeter", "127.0.0.1:1")))
	first := entry("configurators", anOverride("timeout=1234"))
	put(t, etcd, first)

	d := newDirectory(t, r, "org.a.Greeter", "timeout", "3s")
	assert.Equal(t, map[string]string{"1": "1234ms"}, offered(d, "timeout"), "before anything is subscribed, in the framework's notation")
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))

	require.NoError(t, r.Register(provider("org.a.Greeter", "127.0.0.1:2")))
	requireOffered(t, d, "timeout", map[string]string{"1": "1234ms", "2": "1234ms"})
	second := entry("configurators", anOverride("timeout=777&loadbalance=roundrobin"))
	put(t, etcd, second)
	requireOffered(t, d, "timeout", map[string]string{"1": "777ms", "2": "777ms"})
	requireOffered(t, d, "loadbalance", map[string]string{"1": "roundrobin", "2": "roundrobin"})
	remove(t, etcd, second)
	requireOffered(t, d, "timeout", map[string]string{"1": "1234ms", "2": "1234ms"})
	requireOffered(t, d, "loadbalance", map[string]string{"1": "", "2": ""})
	remove(t, etcd, first)
	requireOffered(t, d, "timeout", map[string]string{"1": "3s", "2": "3s"})

	require.NoError(t, r.UnRegister(provider("org.a.Greeter", "127.0.0.1:2")))
	requireOffered(t, d, "timeout", map[string]string{"1": "3s"})
}
