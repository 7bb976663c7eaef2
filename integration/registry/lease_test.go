// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const providersOfA = "/dubbo/org.a.Greeter/providers/"

// registerMany registers n providers of org.a.Greeter at once.
func registerMany(t testing.TB, r registry.Registry, n int) {
	t.Helper()
	var calls errgroup.Group
	for i := range n {
		calls.Go(func() error {
			return r.Register(provider("org.a.Greeter", fmt.Sprintf("10.1.%d.%d:20000", i/250, i%250)))
		})
	}
	require.NoError(t, calls.Wait())
}

// theLease returns the one lease that all keys under a prefix have.
func theLease(t testing.TB, etcd *etcdtest.Server, prefix string) clientv3.LeaseID {
	t.Helper()
	leases := slices.Compact(slices.Sorted(maps.Values(keys(t, etcd.Client(), prefix))))
	require.Len(t, leases, 1)
	return leases[0]
}

// requireKeysUnderAnotherLease waits until n keys are there, all under one
// lease that is not the old one.
func requireKeysUnderAnotherLease(t testing.TB, etcd *etcdtest.Server, prefix string, n int, old clientv3.LeaseID) {
	t.Helper()
	var found map[string]clientv3.LeaseID
	ok := eventually(func() bool {
		found = keys(t, etcd.Client(), prefix)
		leases := slices.Compact(slices.Sorted(maps.Values(found)))
		return len(found) == n && len(leases) == 1 && leases[0] != old && leases[0] != clientv3.NoLease
	})
	require.True(t, ok, "%d of %d keys: %v", len(found), n, found)
}

func TestAllKeysReturnInBatchesAfterTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "3s")
	const n = 500
	registerMany(t, r, n)
	old := theLease(t, etcd, providersOfA)
	before := etcd.Metrics()

	_, err := etcd.Client().Revoke(t.Context(), old)
	require.NoError(t, err)
	requireKeysUnderAnotherLease(t, etcd, providersOfA, n, old)

	after := etcd.Metrics()
	assert.LessOrEqual(t, after.Requests("Txn")-before.Requests("Txn"), n/126+1)
	assert.Equal(t, 1, after.Requests("LeaseGrant")-before.Requests("LeaseGrant"))
	assert.Zero(t, after.Requests("Put"))
}

// With a service each, the keys that have no lease are mostly still there; but
// one may have been deleted.
func TestKeysOfManyServicesReturnAfterTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "3s")
	const n = 300
	var calls errgroup.Group
	for i := range n {
		calls.Go(func() error { return r.Register(provider(fmt.Sprintf("org.a.Service%03d", i), "10.0.0.1:20000")) })
	}
	require.NoError(t, calls.Wait())
	all := slices.Sorted(maps.Keys(keys(t, etcd.Client(), "/dubbo/")))
	require.Len(t, all, 2*n)

	for _, deleted := range []string{"", "/dubbo/org.a.Service200"} {
		before := etcd.Metrics().Requests("Txn")
		if deleted != "" {
			_, err := etcd.Client().Delete(t.Context(), deleted)
			require.NoError(t, err)
		}
		_, err := etcd.Client().Revoke(t.Context(), slices.Max(slices.Collect(maps.Values(keys(t, etcd.Client(), "/dubbo/")))))
		require.NoError(t, err)
		var found []string
		ok := eventually(func() bool {
			found = slices.Sorted(maps.Keys(keys(t, etcd.Client(), "/dubbo/")))
			return slices.Equal(found, all)
		})
		require.True(t, ok, "there are %d keys, want %d", len(found), len(all))
		if deleted == "" {
			assert.Equal(t, 3, etcd.Metrics().Requests("Txn")-before, "as many as with one service")
		}
	}
}

func TestKeysDeletedByHandReturnWhileTheLeaseLives(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "3s")
	registerMany(t, r, 3)
	static := provider("org.b.Static", "10.0.0.1:20000", "dynamic", "false")
	require.NoError(t, r.Register(static))
	lease := theLease(t, etcd, providersOfA)

	_, err := etcd.Client().Delete(t.Context(), "/dubbo/", clientv3.WithPrefix())
	require.NoError(t, err)
	ok := eventually(func() bool {
		return len(keys(t, etcd.Client(), providersOfA)) == 3 && len(keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/")) == 1
	})
	require.True(t, ok, "there are %v", keys(t, etcd.Client(), "/dubbo/"))
	assert.Equal(t, lease, theLease(t, etcd, providersOfA), "the lease is the same")
	all := keys(t, etcd.Client(), "/dubbo/")
	assert.Contains(t, all, "/dubbo/org.a.Greeter", "the interface's key has returned as well")
	assert.Contains(t, all, "/dubbo/org.b.Static")

	// What was unregistered stays away.
	require.NoError(t, r.UnRegister(static))
	_, err = etcd.Client().Delete(t.Context(), providersOfA, clientv3.WithPrefix())
	require.NoError(t, err)
	require.True(t, eventually(func() bool { return len(keys(t, etcd.Client(), providersOfA)) == 3 }))
	assert.Empty(t, keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/"))
}

func TestKeysReturnAfterEtcdIsWiped(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "3s")
	registerMany(t, r, 20)
	require.NoError(t, r.Register(provider("org.b.Static", "10.0.0.1:20000", "dynamic", "false")))
	etcd.Wipe()
	requireKeysUnderAnotherLease(t, etcd, providersOfA, 20, clientv3.NoLease)
	require.True(t, eventually(func() bool { return len(keys(t, etcd.Client(), "/dubbo/org.b.Static/providers/")) == 1 }))
	assert.Contains(t, keys(t, etcd.Client(), "/dubbo/"), "/dubbo/org.a.Greeter")
}

func TestKeysReturnAfterEtcdWasAwayForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "2s", "registry.timeout", "1s")
	registerMany(t, r, 5)
	old := theLease(t, etcd, providersOfA)
	gone := provider("org.a.Greeter", "10.1.0.0:20000")

	etcd.Kill()
	require.NoError(t, r.UnRegister(gone), "what cannot be deleted now is deleted later")
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.9.9.9:20000")))
	time.Sleep(3 * time.Second) // the lease is to run out
	etcd.Start()
	requireKeysUnderAnotherLease(t, etcd, providersOfA, 5, old)
	for key := range keys(t, etcd.Client(), providersOfA) {
		assert.NotContains(t, key, "10.1.0.0:20000")
	}
}

func TestLeaseIsKeptAliveBeyondItsTTL(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "2000") // milliseconds, as in Java
	registerMany(t, r, 2)
	lease := theLease(t, etcd, providersOfA)
	granted, err := etcd.Client().TimeToLive(t.Context(), lease)
	require.NoError(t, err)
	assert.EqualValues(t, 2, granted.GrantedTTL)
	time.Sleep(5 * time.Second) // more than twice the TTL
	assert.Equal(t, lease, theLease(t, etcd, providersOfA))
	assert.Len(t, keys(t, etcd.Client(), providersOfA), 2)
}

func TestAnIdleRegistryOnlyKeepsItsLeaseAlive(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "2s")
	registerMany(t, r, 10)
	l := newListener()
	require.NoError(t, r.LoadSubscribeInstances(consumer("org.a.Greeter"), l))
	require.NoError(t, r.Subscribe(consumer("org.a.Greeter"), l))
	// The registrations were changes of the store: one look is due after them.
	require.True(t, eventually(func() bool { return etcd.Metrics().Requests("LeaseTimeToLive") > 0 }))

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
	r := newRegistry(t, etcd.Endpoint())
	registerMany(t, r, 200)
	require.NoError(t, r.Register(consumer("org.b.Other")))
	r.Destroy()
	assert.Equal(t, []string{"/dubbo/org.a.Greeter", "/dubbo/org.b.Other"}, slices.Sorted(maps.Keys(keys(t, etcd.Client(), ""))))
	leases, err := etcd.Client().Leases(context.Background())
	require.NoError(t, err)
	assert.Empty(t, leases.Leases)
}
