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
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestBuildingARegistryDoesNoIO(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	for range 100 {
		testkit.NewRegistry(t, proxy.Addr())
	}
	assert.Zero(t, proxy.Accepted())
}

func TestAHundredRegistriesShareOneConnectionOneLeaseAndTheWatchStreams(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	registries := make([]registry.Registry, 100)
	listeners := make([]*testkit.Listener, len(registries))
	for i := range registries {
		service := fmt.Sprintf("org.a.Service%d", i)
		registries[i], listeners[i] = testkit.NewRegistry(t, proxy.Addr()), &testkit.Listener{}
		require.NoError(t, registries[i].Register(testkit.Provider(service, "10.0.0.1:20000")))
		require.NoError(t, registries[i].Register(testkit.Consumer(service)))
		testkit.Subscribe(t, registries[i], testkit.Consumer(service), listeners[i])
	}
	for _, l := range listeners {
		l.RequireAddresses(t, "10.0.0.1:20000")
	}
	testkit.RequireWatchers(t, etcd, 100+201) // of providers; of its keys, but of one consumer for all
	assert.Equal(t, 1, proxy.Accepted(), "connections")
	m := etcd.Metrics()
	assert.Equal(t, 1, m.Requests("LeaseGrant"), "leases")
	assert.Equal(t, 1, m.Requests("LeaseKeepAlive"), "keep-alive streams")
	assert.Equal(t, 2, m.Requests("Watch"), "watch streams")
	assert.EqualValues(t, 2, m.Value(etcdtest.MetricWatchStreams, nil), "watch streams: one for what is followed, one for its keys")
	assert.InDelta(t, 200, m.Requests("Txn")+m.Requests("Put"), 1, "one request per registration, and one question of the watches")
	requireLists(t, etcd, 100)

	for _, r := range registries[1:] {
		r.Destroy()
	}
	assert.Equal(t, 1, proxy.Open(), "the first registry still uses the connection")
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Service0/"), 2)
	registries[0].Destroy()
	assert.True(t, testkit.Eventually(func() bool { return proxy.Open() == 0 }), "the last one closes it")
}

func TestTheOrderOfEndpointsDoesNotMatterAndOtherClustersAreNotShared(t *testing.T) {
	t.Parallel()
	first, second := etcdtest.Start(t), etcdtest.Start(t)
	a, b := testkit.NewRegistry(t, first.Endpoint()), testkit.NewRegistry(t, second.Endpoint())
	require.NoError(t, a.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, b.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	assert.Len(t, testkit.Keys(t, first.Client(), providersOfA), 1)
	assert.Len(t, testkit.Keys(t, second.Client(), providersOfA), 1)

	cluster := etcdtest.StartCluster(t, 3)
	e := cluster.Endpoints()
	c := testkit.NewRegistry(t, e[0]+","+e[1]+" , "+e[2])
	d := testkit.NewRegistry(t, "http://"+e[2]+",http://"+e[0], "backup", e[1])
	require.NoError(t, c.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, d.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
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
		r := testkit.NewRegistry(t, etcd.Endpoint())
		l := &testkit.Listener{}
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
		require.NoError(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), l))
		l.RequireAddresses(t, "10.0.0.1:20000")
		r.Destroy()
	}
	// One whose etcd is not there, and one that does not get that far.
	away := testkit.NewRegistry(t, "127.0.0.1:1", "registry.timeout", "200ms")
	require.NoError(t, away.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, away.Subscribe(testkit.Consumer("org.a.Greeter"), &testkit.Listener{}))
	away.Destroy()
	etcd.Kill()
	goleak.VerifyNone(t, before)
}

// requireLists requires that etcd was asked for n lists.
func requireLists(t testing.TB, etcd *etcdtest.Server, n int) {
	t.Helper()
	require.Equal(t, n, etcd.Metrics().Requests("Range"))
}

// A process that serves what it calls itself.
func TestOverridesThatSeveralAskForAreWatchedOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	calling, serving := &testkit.Listener{}, &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "providers,configurators"), calling)
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "configurators"), serving)
	testkit.RequireWatchers(t, etcd, 2)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	calling.RequireAddresses(t, "10.0.0.1:20000")
	require.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter", "category", "providers,configurators"), calling))
	testkit.RequireWatchers(t, etcd, 1+2) // and of its keys
}

func TestReferencesThatAreMadeAndDestroyedLeaveNoWatchBehind(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr())
	kept := &testkit.Listener{}
	require.NoError(t, r.Subscribe(testkit.Consumer("org.a.Kept"), kept)) // or the last of them would end the stream
	for i := range 300 {
		u, l := testkit.Consumer(fmt.Sprintf("org.a.Service%d", i%7)), &testkit.Listener{}
		testkit.Subscribe(t, r, u, l)
		require.NoError(t, r.UnSubscribe(u, l))
	}
	testkit.RequireWatchers(t, etcd, 1)
}
