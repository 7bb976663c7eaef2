// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
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
	require.NoError(t, s.provider.Register(provider(greeter, address(1), "weight", "7")))
	late := newRecorder("one that comes while etcd is away")
	require.NoError(t, s.consumer.LoadSubscribeInstances(consumer(greeter), late))
	require.NoError(t, s.consumer.Subscribe(consumer(greeter), late))
	s.requireKept(ttl * 3 / 2)
	etcd.Start()
	s.requireExact()
	late.requireAddresses(t, s.addresses...)
	weights := func() (w []string) {
		for _, kv := range list(t, s.client, providers).Kvs {
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
	ctx, cancel := within(patience)
	defer cancel()
	_, err := s.client.Revoke(ctx, old)
	require.NoError(t, err)
	_, ok := eventually(patience, func() bool {
		kvs := list(t, s.client, providers).Kvs
		return len(kvs) == 3 && clientv3.LeaseID(kvs[0].Lease) != old
	})
	require.True(t, ok)
	s.requireExact()
	s.requireFollows()
}

func TestTheLeaseIsRevokedWhileTheProviderIsCutOff(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	s.near.Cut()
	ctx, cancel := within(patience)
	defer cancel()
	_, err := s.client.Revoke(ctx, s.lease())
	require.NoError(t, err)
	s.recorder.requireAddresses(t)
	s.near.Restore()
	s.requireExact()
	s.requireFollows()
}

func TestOneKeyIsDeletedByHand(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	lease := s.lease()
	s.delete(string(list(t, s.client, providers).Kvs[1].Key))
	_, ok := eventually(patience, func() bool { return len(list(t, s.client, providers).Kvs) == 3 })
	require.True(t, ok, "the key has not returned")
	s.requireExact()
	assert.Equal(t, lease, s.lease())
	s.requireFollows()
}

func TestAllKeysOfTheGroupAreDeletedByHand(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	require.NoError(t, s.provider.Register(provider(greeter, address(7), "dynamic", "false")))
	s.addresses = append(s.addresses, address(7))
	s.requireExact()
	s.delete(root)
	_, ok := eventually(patience, func() bool { return len(list(t, s.client, providers).Kvs) == 4 })
	require.True(t, ok, "the keys have not returned: %v", list(t, s.client, root).Kvs)
	s.requireExact()
	s.requireFollows()
}

// A process of which all registrations are persistent has no lease, and hears
// nothing from etcd that would tell it of a loss but for its watches.
func TestAPersistentProviderWithoutALeaseReturnsToAnEmptiedEtcd(t *testing.T) {
	t.Parallel()
	etcd := newStore(t)
	r := newRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(provider(greeter, address(1), "dynamic", "false")))
	own := newRecorder("its override listener")
	require.NoError(t, r.Subscribe(consumer(greeter, "category", "configurators"), own))
	_, ok := eventually(patience, func() bool { return len(list(t, etcd.client, providers).Kvs) == 1 })
	require.True(t, ok)
	etcd.Wipe()
	_, ok = eventually(20*time.Second, func() bool { return len(list(t, etcd.client, providers).Kvs) == 1 })
	require.True(t, ok, "the provider has not returned")
}

func TestTheHistoryIsCompactedWhileTheConsumerIsCutOff(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	s.far.Cut()
	s.unregister(0)
	s.register(4)
	s.delete(string(list(t, s.client, providers).Kvs[0].Key)) // and back
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
	etcd := newStore(t, etcdtest.WithFlags("--watch-progress-notify-interval=100ms"))
	far := etcdtest.NewProxy(t, etcd.Endpoint())
	r := newRegistry(t, far.Addr())
	idle := map[string]*recorder{}
	for i := range 5 {
		service := fmt.Sprintf("org.a.Idle%d", i)
		idle[service] = newRecorder(service)
		require.NoError(t, r.LoadSubscribeInstances(consumer(service), idle[service]))
		require.NoError(t, r.Subscribe(consumer(service), idle[service]))
	}
	_, ok := eventually(patience, func() bool { return etcd.Metrics().Requests("Txn") > 0 })
	require.True(t, ok, "the registry has not looked whether etcd is the store that it has read")

	etcd.advance(20)
	sent := func() float64 {
		return etcd.Metrics().Value(etcdtest.MetricMessagesSent, map[string]string{"grpc_method": "Watch"})
	}
	told := sent() + 3*float64(len(idle))
	_, ok = eventually(patience, func() bool { return sent() >= told })
	require.True(t, ok, "etcd does not tell its progress")
	etcd.compactAll()
	before := etcd.Metrics()
	far.Cut()
	far.Restore()
	for service := range idle {
		etcd.do(func(ctx context.Context) error {
			_, err := etcd.client.Put(ctx, providerKey(service, address(1)), "")
			return err
		})
	}
	for _, r := range idle {
		r.requireAddresses(t, address(1))
	}
	_, ok = eventually(patience, func() bool { return etcd.Metrics().Requests("Txn") > before.Requests("Txn") })
	require.True(t, ok, "the registry has not looked whether etcd is still the store that it has read")
	time.Sleep(1200 * time.Millisecond) // for longer than a listing would be put off
	assert.Zero(t, etcd.Metrics().Requests("Range")-before.Requests("Range"))
}
