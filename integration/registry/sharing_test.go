// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const (
	watchStreams = "etcd_debugging_mvcc_watch_stream_total"
	watchers     = "etcd_debugging_mvcc_watcher_total"
)

func TestBuildingARegistryDoesNoIO(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	for range 100 {
		newRegistry(t, proxy.Addr())
	}
	assert.Zero(t, proxy.Accepted())
}

func TestAHundredRegistriesShareOneConnectionOneLeaseAndOneWatchStream(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	registries := make([]registry.Registry, 100)
	listeners := make([]*listener, len(registries))
	for i := range registries {
		service := fmt.Sprintf("org.a.Service%d", i)
		registries[i], listeners[i] = newRegistry(t, proxy.Addr()), newListener()
		require.NoError(t, registries[i].Register(provider(service, "10.0.0.1:20000")))
		require.NoError(t, registries[i].Register(consumer(service)))
		require.NoError(t, registries[i].LoadSubscribeInstances(consumer(service), listeners[i]))
		require.NoError(t, registries[i].Subscribe(consumer(service), listeners[i]))
	}
	for _, l := range listeners {
		l.requireAddresses(t, "10.0.0.1:20000")
	}
	assert.Equal(t, 1, proxy.Accepted(), "connections")
	m := etcd.Metrics()
	assert.Equal(t, 1, m.Requests("LeaseGrant"), "leases")
	assert.Equal(t, 1, m.Requests("LeaseKeepAlive"), "keep-alive streams")
	assert.Equal(t, 1, m.Requests("Watch"), "watch streams")
	assert.EqualValues(t, 1, m.Value(watchStreams, nil), "watch streams")
	assert.InDelta(t, 200, m.Requests("Txn"), 1, "one request per registration, and one question of the watches")
	requireLists(t, etcd, 100)
	requireWatchers(t, etcd, 100)

	for _, r := range registries[1:] {
		r.Destroy()
	}
	assert.Equal(t, 1, proxy.Open(), "the first registry still uses the connection")
	assert.Len(t, keys(t, etcd.Client(), "/dubbo/org.a.Service0/"), 2)
	registries[0].Destroy()
	assert.True(t, eventually(func() bool { return proxy.Open() == 0 }), "the last one closes it")
}

func TestTheOrderOfEndpointsDoesNotMatterAndOtherClustersAreNotShared(t *testing.T) {
	t.Parallel()
	first, second := etcdtest.Start(t), etcdtest.Start(t)
	a, b := newRegistry(t, first.Endpoint()), newRegistry(t, second.Endpoint())
	require.NoError(t, a.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, b.Register(provider("org.a.Greeter", "10.0.0.2:20000")))
	assert.Len(t, keys(t, first.Client(), providersOfA), 1)
	assert.Len(t, keys(t, second.Client(), providersOfA), 1)

	cluster := etcdtest.StartCluster(t, 3)
	e := cluster.Endpoints()
	c := newRegistry(t, e[0]+","+e[1]+" , "+e[2])
	d := newRegistry(t, "http://"+e[2]+",http://"+e[0], "backup", e[1])
	require.NoError(t, c.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, d.Register(provider("org.a.Greeter", "10.0.0.2:20000")))
	leases := 0
	for _, member := range cluster.Members {
		leases += member.Metrics().Requests("LeaseGrant")
	}
	assert.Equal(t, 1, leases)
}

// Not parallel: it looks at the goroutines of the whole process.
func TestNothingRunsAfterTheLastDestroy(t *testing.T) {
	before := goleak.IgnoreCurrent()
	etcd := etcdtest.Start(t)
	for range 3 {
		r := newRegistry(t, etcd.Endpoint())
		l := newListener()
		require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
		require.NoError(t, r.Subscribe(consumer("org.a.Greeter"), l))
		l.requireAddresses(t, "10.0.0.1:20000")
		r.Destroy()
	}
	// One whose etcd is not there, and one that does not get that far.
	away := newRegistry(t, "127.0.0.1:1", "registry.timeout", "200ms")
	require.NoError(t, away.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, away.Subscribe(consumer("org.a.Greeter"), newListener()))
	away.Destroy()
	etcd.Kill()
	goleak.VerifyNone(t, before)
}

// requireWatchers waits until etcd has exactly n watchers.
func requireWatchers(t testing.TB, etcd *etcdtest.Server, n int) {
	t.Helper()
	var got float64
	require.True(t, eventually(func() bool {
		got = etcd.Metrics().Value(watchers, nil)
		return int(got) == n
	}), "etcd has %v watchers, want %d", got, n)
}

// requireLists requires that etcd was asked for n lists.
func requireLists(t testing.TB, etcd *etcdtest.Server, n int) {
	t.Helper()
	require.Equal(t, n, etcd.Metrics().Requests("Range"))
}
