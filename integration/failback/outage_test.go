// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestEtcdIsKilledAndStartedWithItsData(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	etcd.Kill()
	s.requireKept(500 * time.Millisecond)
	etcd.Start()
	s.requireExact()
	s.requireFollows()
}

func TestEtcdIsStoppedAndStartedWithItsData(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	etcd.Stop()
	s.requireKept(500 * time.Millisecond)
	etcd.Start()
	s.requireExact()
	s.requireFollows()
}

func TestEtcdIsAwayForLongerThanTheLeaseLives(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	etcd.Kill()
	s.register(3)
	s.unregister(0)
	require.NoError(t, s.provider.Register(testkit.Provider(greeter, testkit.Address(1), "weight", "7")))
	late := newRecorder("one that comes while etcd is away")
	testkit.Subscribe(t, s.consumer, testkit.Consumer(greeter), late)
	s.requireKept(ttl * 3 / 2)
	etcd.Start()
	s.requireExact()
	late.requireAddresses(t, s.addresses...)
	weights := func() (w []string) {
		for _, kv := range testkit.List(t, s.client, providers).Kvs {
			f, _ := parseKey(string(kv.Key), "providers")
			w = append(w, f.weight)
		}
		return w
	}
	assert.ElementsMatch(t, []string{"7", "", ""}, weights())
	s.requireFollows()
}

func TestEtcdIsPausedForLongerThanTheLeaseLives(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	etcd.Pause()
	s.register(3)
	s.unregister(0)
	s.requireKept(ttl * 2)
	etcd.Resume()
	s.requireExact()
	s.requireFollows()
}

func TestTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	old := s.lease()
	testkit.Revoke(t, s.client, old)
	testkit.Await(t, testkit.LongPatience, func() bool {
		kvs := testkit.List(t, s.client, providers).Kvs
		return len(kvs) == 3 && clientv3.LeaseID(kvs[0].Lease) != old
	})
	s.requireExact()
	s.requireFollows()
}

func TestTheLeaseIsRevokedWhileTheProviderIsCutOff(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	s.near.Cut()
	testkit.Revoke(t, s.client, s.lease())
	s.recorder.requireAddresses(t)
	s.near.Restore()
	s.requireExact()
	s.requireFollows()
}

func TestOneKeyIsDeletedByHand(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	lease := s.lease()
	s.delete(string(testkit.List(t, s.client, providers).Kvs[1].Key))
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.List(t, s.client, providers).Kvs) == 3 }, "the key has not returned")
	s.requireExact()
	assert.Equal(t, lease, s.lease())
	s.requireFollows()
}

func TestAllKeysOfTheGroupAreDeletedByHand(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	require.NoError(t, s.provider.Register(testkit.Provider(greeter, testkit.Address(7), "dynamic", "false")))
	s.addresses = append(s.addresses, testkit.Address(7))
	s.requireExact()
	s.delete(root)
	_, ok := testkit.Within(testkit.LongPatience, func() bool { return len(testkit.List(t, s.client, providers).Kvs) == 4 })
	require.True(t, ok, "the keys have not returned: %v", testkit.List(t, s.client, root).Kvs)
	s.requireExact()
	s.requireFollows()
}

// A process of which all registrations are persistent has no lease, and hears
// nothing from etcd that would tell it of a loss but for its watches.
func TestAPersistentProviderWithoutALeaseReturnsToAnEmptiedEtcd(t *testing.T) {
	t.Parallel()
	etcd := newStore(t)
	r := newRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider(greeter, testkit.Address(1), "dynamic", "false")))
	own := newRecorder("its override listener")
	require.NoError(t, r.Subscribe(testkit.Consumer(greeter, "category", "configurators"), own))
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.List(t, etcd.client, providers).Kvs) == 1 })
	etcd.Wipe()
	testkit.Await(t, 20*time.Second, func() bool { return len(testkit.List(t, etcd.client, providers).Kvs) == 1 }, "the provider has not returned")
}

func TestTheHistoryIsCompactedWhileTheConsumerIsCutOff(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	s.far.Cut()
	s.unregister(0)
	s.register(4)
	s.delete(string(testkit.List(t, s.client, providers).Kvs[0].Key)) // and back
	s.history.sync(t)
	etcd.compactAll()
	s.requireKept(300 * time.Millisecond)
	s.far.Restore()
	s.requireExact()
	s.requireFollows()
}

// etcd tells a watch on which nothing happens, from time to time, up to where
// it has seen everything: from there it goes on.
func TestWhatIsIdleIsNotListedAgainThoughTheHistoryIsCompacted(t *testing.T) {
	t.Parallel()
	etcd := newStore(t, etcdtest.WithProgress(100*time.Millisecond))
	far := etcdtest.NewProxy(t, etcd.Endpoint())
	r := newRegistry(t, far.Addr())
	idle := map[string]*recorder{}
	for i := range 5 {
		service := fmt.Sprintf("org.a.Idle%d", i)
		idle[service] = newRecorder(service)
		testkit.Subscribe(t, r, testkit.Consumer(service), idle[service])
	}
	testkit.Await(t, testkit.LongPatience, func() bool { return etcd.Metrics().Requests("Txn") > 0 }, "the registry has not looked whether etcd is the store that it has read")

	etcd.advance(20)
	sent := func() float64 {
		return etcd.Metrics().Value(etcdtest.MetricMessagesSent, map[string]string{"grpc_method": "Watch"})
	}
	told := sent() + 3*float64(len(idle))
	testkit.Await(t, testkit.LongPatience, func() bool { return sent() >= told }, "etcd does not tell its progress")
	etcd.compactAll()
	before := etcd.Metrics()
	far.Cut()
	far.Restore()
	for service := range idle {
		testkit.Put(t, etcd.client, providerKey(service, testkit.Address(1)), "")
	}
	for _, r := range idle {
		r.requireAddresses(t, testkit.Address(1))
	}
	testkit.Await(t, testkit.LongPatience, func() bool { return etcd.Metrics().Requests("Txn") > before.Requests("Txn") }, "the registry has not looked whether etcd is still the store that it has read")
	time.Sleep(1200 * time.Millisecond) // for longer than a listing would be put off
	assert.Zero(t, etcd.Metrics().Requests("Range")-before.Requests("Range"))
}
