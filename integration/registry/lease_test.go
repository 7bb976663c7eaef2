// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const providersOfA = "/dubbo/org.a.Greeter/providers/"

// registerMany registers n providers of org.a.Greeter at once.
func registerMany(t testing.TB, r registry.Registry, n int) {
	t.Helper()
	var calls errgroup.Group
	for i := range n {
		calls.Go(func() error {
			return r.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.1.%d.%d:20000", i/250, i%250)))
		})
	}
	require.NoError(t, calls.Wait())
}

// theLease returns the one lease that all keys under a prefix have.
func theLease(t testing.TB, etcd *etcdtest.Server, prefix string) clientv3.LeaseID {
	t.Helper()
	leases := slices.Compact(slices.Sorted(maps.Values(testkit.Keys(t, etcd.Client(), prefix))))
	require.Len(t, leases, 1)
	return leases[0]
}

// requireKeysUnderAnotherLease waits until n keys are there, all under one
// lease that is not the old one.
func requireKeysUnderAnotherLease(t testing.TB, etcd *etcdtest.Server, prefix string, n int, old clientv3.LeaseID) {
	t.Helper()
	var found map[string]clientv3.LeaseID
	ok := testkit.Eventually(func() bool {
		found = testkit.Keys(t, etcd.Client(), prefix)
		leases := slices.Compact(slices.Sorted(maps.Values(found)))
		return len(found) == n && len(leases) == 1 && leases[0] != old && leases[0] != clientv3.NoLease
	})
	require.True(t, ok, "%d of %d keys: %v", len(found), n, found)
}

func TestAllKeysReturnInBatchesAfterTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "3s")
	const n = 500
	registerMany(t, r, n)
	old := theLease(t, etcd, providersOfA)
	before := etcd.Metrics()

	testkit.Revoke(t, etcd.Client(), old)
	requireKeysUnderAnotherLease(t, etcd, providersOfA, n, old)

	after := etcd.Metrics()
	// The first is under the old lease: of many keys, or of the one that was heard of by then.
	writes := after.Requests("Txn") - before.Requests("Txn") + after.Requests("Put") - before.Requests("Put")
	assert.LessOrEqual(t, writes, 1+n/126+1)
	assert.Equal(t, 1, after.Requests("LeaseGrant")-before.Requests("LeaseGrant"))
}

// With a service each, the keys that have no lease are mostly still there; but
// one may have been deleted.
func TestKeysOfManyServicesReturnAfterTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "3s")
	const n = 300
	var calls errgroup.Group
	for i := range n {
		calls.Go(func() error {
			return r.Register(testkit.Provider(fmt.Sprintf("org.a.Service%03d", i), "10.0.0.1:20000"))
		})
	}
	require.NoError(t, calls.Wait())
	all := slices.Sorted(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/")))
	require.Len(t, all, 2*n)

	for _, deleted := range []string{"", "/dubbo/org.a.Service200"} {
		before := etcd.Metrics().Requests("Txn")
		if deleted != "" {
			testkit.Delete(t, etcd.Client(), deleted)
		}
		testkit.Revoke(t, etcd.Client(), slices.Max(slices.Collect(maps.Values(testkit.Keys(t, etcd.Client(), "/dubbo/")))))
		var found []string
		ok := testkit.Eventually(func() bool {
			found = slices.Sorted(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/")))
			return slices.Equal(found, all)
		})
		require.True(t, ok, "there are %d keys, want %d", len(found), len(all))
		if deleted == "" {
			assert.LessOrEqual(t, etcd.Metrics().Requests("Txn")-before, 1+3, "as many as with one service")
		}
	}
}

func TestKeysDeletedByHandReturnWhileTheLeaseLives(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "3s")
	registerMany(t, r, 3)
	static := testkit.Provider("org.b.Static", "10.0.0.1:20000", "dynamic", "false")
	require.NoError(t, r.Register(static))
	lease := theLease(t, etcd, providersOfA)

	testkit.DeleteAll(t, etcd.Client(), "/dubbo/")
	ok := testkit.Eventually(func() bool {
		return len(testkit.Keys(t, etcd.Client(), providersOfA)) == 3 && len(testkit.Keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/")) == 1
	})
	require.True(t, ok, "there are %v", testkit.Keys(t, etcd.Client(), "/dubbo/"))
	assert.Equal(t, lease, theLease(t, etcd, providersOfA), "the lease is the same")
	all := testkit.Keys(t, etcd.Client(), "/dubbo/")
	assert.Contains(t, all, "/dubbo/org.a.Greeter", "the interface's key has returned as well")
	assert.Contains(t, all, "/dubbo/org.b.Static")

	// What was unregistered stays away.
	require.NoError(t, r.UnRegister(static))
	testkit.DeleteAll(t, etcd.Client(), providersOfA)
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, etcd.Client(), providersOfA)) == 3 }))
	assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/"))
}

func TestKeysReturnAfterEtcdIsWiped(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "3s")
	registerMany(t, r, 20)
	require.NoError(t, r.Register(testkit.Provider("org.b.Static", "10.0.0.1:20000", "dynamic", "false")))
	etcd.Wipe()
	requireKeysUnderAnotherLease(t, etcd, providersOfA, 20, clientv3.NoLease)
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/")) == 1 }))
	assert.Contains(t, testkit.Keys(t, etcd.Client(), "/dubbo/"), "/dubbo/org.a.Greeter")
}

// A process that is cut off from an etcd that runs loses its lease there.
func TestKeysReturnAfterEtcdWasOutOfReachForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), "session", "2s", "registry.timeout", "1s")
	registerMany(t, r, 5)
	old := theLease(t, etcd, providersOfA)
	gone := testkit.Provider("org.a.Greeter", "10.1.0.0:20000")

	proxy.Cut()
	require.NoError(t, r.UnRegister(gone), "what cannot be deleted now is deleted later")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.9.9.9:20000")))
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, etcd.Client(), providersOfA)) == 0 }), "the lease runs out")
	proxy.Restore()
	requireKeysUnderAnotherLease(t, etcd, providersOfA, 5, old)
	for key := range testkit.Keys(t, etcd.Client(), providersOfA) {
		assert.NotContains(t, key, "10.1.0.0:20000")
	}
}

// An etcd that was not there either has each lease for the whole of its TTL when it is
// started again: nobody has to take another, nor to write anything again.
func TestLeaseLivesOnAfterEtcdWasDownForLongerThanIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "2s", "registry.timeout", "1s")
	registerMany(t, r, 5)
	old := theLease(t, etcd, providersOfA)
	before := testkit.Revisions(t, etcd.Client(), providersOfA)

	etcd.Kill()
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.1.0.0:20000")), "what cannot be deleted now is deleted later")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.9.9.9:20000")))
	testkit.Await(t, testkit.Patience, func() bool { // it has run out, as far as the process knows
		lease := clusterOf(t, etcd).Lease
		return lease != nil && lease.Unsure
	})
	etcd.Start()
	var found map[string]clientv3.LeaseID
	require.True(t, testkit.Eventually(func() bool {
		found = testkit.Keys(t, etcd.Client(), providersOfA)
		return len(found) == 5 && !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(key string) bool {
			return strings.Contains(key, "10.1.0.0:20000")
		})
	}), "there are %v", found)
	for key, lease := range found {
		assert.Equal(t, old, lease, key)
	}
	for key, revision := range testkit.Revisions(t, etcd.Client(), providersOfA) {
		if was, known := before[key]; known {
			assert.Equal(t, was, revision, "%s was written again", key)
		}
	}
	assert.Zero(t, etcd.Metrics().Requests("LeaseGrant"))
	testkit.Await(t, testkit.Patience, func() bool { // it is kept alive, three times in a TTL
		return etcd.Metrics().Value(etcdtest.MetricMessagesReceived, map[string]string{"grpc_method": "LeaseKeepAlive"}) > 5
	})
	assert.Equal(t, old, theLease(t, etcd, providersOfA))
}

// clusterOf is what this process says of its use of an etcd.
func clusterOf(t testing.TB, etcd *etcdtest.Server) etcdv3registry.ClusterStatus {
	t.Helper()
	for _, c := range etcdv3registry.Status().Clusters {
		if c.Endpoints[0] == etcd.Endpoint() {
			return c
		}
	}
	require.Fail(t, "the cluster is not in use", etcd.Endpoint())
	return etcdv3registry.ClusterStatus{}
}

func TestLeaseIsKeptAliveBeyondItsTTL(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "2000") // milliseconds, as in Java
	registerMany(t, r, 2)
	lease := theLease(t, etcd, providersOfA)
	granted, err := etcd.Client().TimeToLive(t.Context(), lease)
	require.NoError(t, err)
	assert.EqualValues(t, 2, granted.GrantedTTL)
	time.Sleep(5 * time.Second) // more than twice the TTL
	assert.Equal(t, lease, theLease(t, etcd, providersOfA))
	assert.Len(t, testkit.Keys(t, etcd.Client(), providersOfA), 2)
}

func TestAnIdleRegistryOnlyKeepsItsLeaseAlive(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "2s")
	registerMany(t, r, 10)
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	// The registrations were changes of the store: one look is due after them.
	require.True(t, testkit.Eventually(func() bool { return etcd.Metrics().Requests("LeaseTimeToLive") > 0 }))

	before := etcd.Metrics()
	time.Sleep(5 * time.Second)
	after := etcd.Metrics()
	for _, method := range []string{"Txn", "Range", "Put", "DeleteRange", "LeaseGrant", "LeaseTimeToLive", "Watch", "LeaseKeepAlive", "MemberList"} {
		assert.Equal(t, before.Requests(method), after.Requests(method), method)
	}
}

func TestDestroyGivesUpTheLeaseAndAllKeysAreGoneAtOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	registerMany(t, r, 200)
	require.NoError(t, r.Register(testkit.Consumer("org.b.Other")))
	r.Destroy()
	assert.Equal(t, []string{"/dubbo/org.a.Greeter", "/dubbo/org.b.Other"}, slices.Sorted(maps.Keys(testkit.Keys(t, etcd.Client(), ""))))
	leases := testkit.Leases(t, etcd.Client())
	assert.Empty(t, leases)
}
