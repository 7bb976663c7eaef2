// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// requireAway checks what is seen of an etcd that has never answered.
func requireAway(t *testing.T, s *scene) {
	t.Helper()
	c := s.awaitReasons("prefix(es) have not been read yet")
	assert.Contains(t, strings.Join(c.Reasons, "\n"), "etcd at "+s.Endpoint()+": 3 of 3 key(s) are not registered")
	assert.Contains(t, strings.Join(c.Reasons, "\n"), "connection refused")
	assert.False(t, c.Connection.Connected)
	assert.Zero(t, c.Connection.Since)
	require.NotNil(t, c.Connection.LastError)
	assert.Contains(t, c.Connection.LastError.Message, "connection refused")
	assert.NotZero(t, c.Connection.LastError.At)
	assert.Nil(t, c.Lease)
	assert.Equal(t, 3, c.Keys.Wanted)
	assert.Equal(t, 3, c.Keys.Unregistered)
	assert.Equal(t, 3, c.Keys.Pending)
	assert.Zero(t, c.Keys.InEtcd)
	assert.Len(t, c.Keys.Missing, 3)
	assert.Contains(t, c.Keys.Error, "connection refused")
	s.await("all mirrors stale", func(c etcdv3registry.ClusterStatus) bool {
		for _, m := range c.Mirrors {
			if m.Read || m.StaleSince.IsZero() || m.Error == "" {
				return false
			}
		}
		return len(c.Mirrors) > 0
	})
	for _, l := range s.status().Listeners {
		assert.Equal(t, etcdv3registry.WaitsForFirstRead, l.WaitsFor)
	}
	s.awaitMetric(ready, is(0))
	s.awaitMetric(connected, is(0))
	s.awaitMetric(keysWanted, is(3))
	s.awaitMetric(keysInEtcd, is(0))
	s.awaitMetric(retriesPending, is(3))
	s.awaitMetric(leaseTTL, is(0))
	s.awaitMetric(mirrorsUnread, atLeast(1))
	s.awaitMetric(mirrorsStale, atLeast(1))
	s.awaitMetric(requests, atLeast(1), "method", "LeaseGrant", "code", "Unavailable")
}

// requireWell checks what is seen while all is well.
func requireWell(t *testing.T, s *scene) {
	t.Helper()
	c := s.await("ready", isReady)
	assert.Empty(t, c.Reasons)
	assert.True(t, c.Connection.Connected)
	assert.NotZero(t, c.Connection.Since)
	require.NotNil(t, c.Lease)
	assert.InDelta(t, 3, c.Lease.TTLSeconds, 0)
	assert.NotZero(t, c.Lease.RemainingSeconds)
	assert.Equal(t, etcdv3registry.KeysStatus{Wanted: 3, InEtcd: 3}, c.Keys)
	s.told.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000", "10.0.0.3:20000")
	c = s.await("all mirrors follow, the listener waits for a change, and the members that answer are known", func(c etcdv3registry.ClusterStatus) bool {
		for _, m := range c.Mirrors {
			if !m.StaleSince.IsZero() { // their streams come back one after another
				return false
			}
		}
		for _, l := range c.Listeners {
			if l.WaitsFor != etcdv3registry.WaitsForChange || l.Told.IsZero() {
				return false
			}
		}
		return c.Connection.InUse == etcdv3registry.InUse{Requests: s.Endpoint(), Watches: s.Endpoint(), Lease: s.Endpoint()}
	})
	require.NotEmpty(t, c.Mirrors)
	keys := 0
	for _, m := range c.Mirrors {
		assert.True(t, m.Read)
		assert.Zero(t, m.StaleSince)
		assert.Empty(t, m.Error)
		assert.NotZero(t, m.Revision)
		assert.NotZero(t, m.LastChange)
		assert.Equal(t, 1, m.Listeners)
		keys += m.Keys
		assert.Equal(t, m.Keys > 0, m.Bytes > 0)
	}
	assert.Equal(t, 3, keys)
	s.awaitMetric(ready, is(1))
	s.awaitMetric(connected, is(1))
	s.awaitMetric(keysInEtcd, is(3))
	s.awaitMetric(retriesPending, is(0))
	s.awaitMetric(leaseTTL, is(3))
	s.awaitMetric(leaseRemaining, atLeast(0.5))
	s.awaitMetric(mirrors, is(float64(len(c.Mirrors))))
	s.awaitMetric(mirrorsUnread, is(0))
	s.awaitMetric(mirrorsStale, is(0))
	s.awaitMetric(mirrorKeys, is(3))
	s.awaitMetric(mirrorBytes, atLeast(1))
	s.awaitMetric(listeners, is(float64(len(c.Listeners))))
	s.awaitMetric(requests, atLeast(1), "method", "Txn", "code", "OK")
}

func TestAnEtcdThatIsAwayComesAndGoesIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	s := begin(t, etcd)
	requireAway(t, s)

	etcd.Start()
	requireWell(t, s)
	began := time.Now()

	etcd.Kill()
	c := s.await("disconnected, and the mirrors stale", func(c etcdv3registry.ClusterStatus) bool {
		stale := 0
		for _, m := range c.Mirrors {
			if !m.StaleSince.IsZero() {
				stale++
			}
		}
		return !c.Connection.Connected && stale == len(c.Mirrors)
	})
	assert.True(t, c.Connection.Since.After(began))
	s.awaitMetric(connected, is(0))
	s.awaitMetric(mirrorsStale, atLeast(1))

	c = s.awaitReasons("3 of 3 key(s) are not registered: lease") // which may have run out
	require.NotNil(t, c.Lease)
	assert.True(t, c.Lease.Unsure)
	assert.Zero(t, c.Lease.RemainingSeconds)
	lease := c.Lease.ID
	s.awaitMetric(ready, is(0))
	s.awaitMetric(keysInEtcd, is(0))
	s.awaitMetric(leaseRemaining, is(0))
	c = s.await("etcd owes an answer", func(c etcdv3registry.ClusterStatus) bool { return !c.Connection.SilentSince.IsZero() })
	assert.True(t, c.Connection.SilentSince.After(began))

	etcd.Start()
	requireWell(t, s)
	c = s.status()
	assert.Zero(t, c.Connection.SilentSince)
	assert.Equal(t, lease, c.Lease.ID, "etcd was away as well")
	assert.False(t, c.Lease.Unsure)
}

// It is cut off from an etcd that goes on.
func TestALeaseThatRunsOutIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), "file-cache", "false", "registry.timeout", "1s", "session", "3s")
	require.NoError(t, r.Register(provider(0)))
	s := seen{t, proxy.Addr()}
	before := s.await("ready", isReady)
	proxy.Cut()
	s.await("unsure", func(c etcdv3registry.ClusterStatus) bool { return !c.Ready && c.Lease != nil && c.Lease.Unsure })
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Leases(t, etcd.Client())) == 0 })
	proxy.Restore()
	after := s.await("ready, under another lease", func(c etcdv3registry.ClusterStatus) bool { return c.Ready && c.Lease.ID != before.Lease.ID })
	assert.EqualValues(t, 1, after.Resyncs["lease_lost"])
	s.awaitMetric(resyncs, is(1), "reason", "lease_lost")
}

func TestALeaseThatIsRevokedIsSeen(t *testing.T) {
	t.Parallel()
	s := begin(t, etcdtest.Start(t), "session", "30s")
	before := s.await("ready", isReady)
	for _, id := range testkit.Leases(t, s.Client()) {
		testkit.Revoke(t, s.Client(), id)
	}
	after := s.await("another lease", func(c etcdv3registry.ClusterStatus) bool {
		return c.Ready && c.Lease != nil && c.Lease.ID != before.Lease.ID
	})
	assert.EqualValues(t, 1, after.Resyncs["lease_lost"])
	s.awaitMetric(resyncs, is(1), "reason", "lease_lost")
}

func TestAKeyThatSomebodyDeletesIsSeen(t *testing.T) {
	t.Parallel()
	s := begin(t, etcdtest.Start(t))
	s.await("ready", isReady)
	testkit.DeleteAll(t, s.Client(), "/dubbo/"+service+"/providers/")
	c := s.await("the keys were put again", func(c etcdv3registry.ClusterStatus) bool { return c.Resyncs["keys_deleted"] > 0 && c.Ready })
	assert.Equal(t, 3, c.Keys.InEtcd)
	s.awaitMetric(resyncs, atLeast(1), "reason", "keys_deleted")
}

func TestAnEtcdThatWasEmptiedIsSeen(t *testing.T) {
	t.Parallel()
	s := begin(t, etcdtest.Start(t))
	s.await("ready", isReady)
	s.Wipe()
	c := s.await("another history", func(c etcdv3registry.ClusterStatus) bool {
		return c.OtherHistories > 0 && c.Resyncs["another_history"] > 0
	})
	assert.GreaterOrEqual(t, c.Resyncs["another_history"], c.OtherHistories)
	s.awaitMetric(resyncs, atLeast(1), "reason", "another_history")
	requireWell(t, s)
}

func TestACompactionThatWasMissedIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), "file-cache", "false", "registry.timeout", "1s")
	testkit.Subscribe(t, r, testkit.Consumer(service), &testkit.Listener{})
	s := seen{t, proxy.Addr()}
	s.await("ready", isReady)
	proxy.Cut()
	var last int64
	for range 3 {
		last = testkit.Put(t, etcd.Client(), "/dubbo/"+service+"/providers/tri%3A%2F%2F10.0.0.9%3A1%2F"+service, "")
	}
	etcd.Compact(last)
	proxy.Restore()
	s.await("compacted", func(c etcdv3registry.ClusterStatus) bool { return c.Resyncs["compacted"] > 0 })
	s.awaitMetric(resyncs, atLeast(1), "reason", "compacted")
}
