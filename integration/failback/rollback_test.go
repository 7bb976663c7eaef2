// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// In what follows etcd's revision runs backwards: a watch that goes on from
// where it was waits for the future, or misses what it should hear of.

// rollBack replaces the store by another one, which others may be the first to
// write to: until its revision is behind, equal to, or past what it was.
func (s *scene) rollBack(etcd *store, m moment, replace func(), past int64) {
	s.t.Helper()
	s.near.Cut()
	s.far.Cut()
	s.history.sync(s.t)
	old := s.history.now().revision
	s.history.stop()
	replace()
	s.history.resume(m)
	if past > -100 {
		etcd.advance(max(0, old+past-etcd.revision()))
		require.GreaterOrEqual(s.t, etcd.revision(), old+past)
	}
	s.near.Restore()
	s.far.Restore()
}

var rollbacks = map[string]int64{"behind": -100, "just behind": -1, "equal": 0, "just past": 1, "past": 30}

func TestEtcdIsEmptied(t *testing.T) {
	t.Parallel()
	for name, past := range rollbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, s := newScene(t)
			for range 5 {
				s.requireFollows()
			}
			s.rollBack(etcd, moment{keys: map[string]fact{}, revision: 1}, etcd.Wipe, past)
			s.requireExact()
			s.requireFollows()
		})
	}
}

// A consumer that knew of no provider cannot tell the stores apart by one.
func TestAConsumerThatKnowsNothingFollowsAnEmptiedEtcd(t *testing.T) {
	t.Parallel()
	for name, past := range rollbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, s := newScene(t)
			etcd.advance(20)
			s.consumer.Destroy()
			s.consumer = newRegistry(t, s.far.Addr())
			s.recorder = newRecorder("one who knows nothing")
			s.addresses = nil
			for i := range 3 {
				require.NoError(t, s.provider.UnRegister(testkit.Provider(greeter, testkit.Address(i))))
			}
			testkit.Subscribe(t, s.consumer, testkit.Consumer(greeter), s.recorder)
			s.requireExact()

			s.rollBack(etcd, moment{keys: map[string]fact{}, revision: 1}, func() {
				etcd.Wipe()
				s.put(77)
			}, past)
			s.requireExact()
			s.requireFollows()
		})
	}
}

// The lease is the same as in the backup, and goes on: what was unregistered
// since does not go with it, and what was registered since is not there.
func TestABackupIsPutBack(t *testing.T) {
	t.Parallel()
	for name, past := range rollbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, s := newScene(t, "session", "9s") // the lease in the backup lives on
			s.history.sync(t)
			backup := s.history.now()
			etcd.Backup()
			s.requireExact()
			s.unregister(0) // it is in the backup
			s.register(5)   // and this is not
			require.NoError(t, s.provider.Register(testkit.Provider(greeter, testkit.Address(1), "weight", "9")))
			s.requireExact()

			s.rollBack(etcd, backup, etcd.Restore, past)
			s.requireExact()
			s.requireFollows()
		})
	}
}

// A backup in which nothing is older than what is known, but for a key that was
// deleted since: the consumer is to hear of it again.
func TestAKeyReturnsWithABackup(t *testing.T) {
	t.Parallel()
	for name, past := range rollbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, s := newScene(t)
			s.consumer.Destroy()
			for i := range 3 {
				s.unregister(i)
			}
			for i := 20; i < 23; i++ {
				s.put(i)
			}
			s.history.sync(t)
			backup := s.history.now()
			etcd.Backup()
			s.delete(providerKey(greeter, testkit.Address(20)))
			s.consumer = newRegistry(t, s.far.Addr())
			s.recorder = newRecorder("one who comes later")
			testkit.Subscribe(t, s.consumer, testkit.Consumer(greeter), s.recorder)
			s.recorder.requireAddresses(t, testkit.Address(21), testkit.Address(22))

			s.rollBack(etcd, backup, etcd.Restore, past)
			s.requireExact()
			s.requireFollows()
		})
	}
}

// The store is replaced again while the consumer still asks whether it has
// been, and a subscription has been made in between.
func TestASubscriptionMadeWhileTheStoreIsCompared(t *testing.T) {
	t.Parallel()
	etcd, s := newScene(t)
	etcd.advance(20)
	for i := range 3 {
		s.far.Cut()
		s.far.Restore()
		s.put(60 + i) // when it arrives, so has the stream of watches: the comparison is due
		s.recorder.requireAddresses(t, s.addresses...)
		late := newRecorder("one that comes late")
		service := "org.a.Late" + string(rune('0'+i))
		testkit.Subscribe(t, s.consumer, testkit.Consumer(service), late)

		s.addresses = []string{testkit.Address(0), testkit.Address(1), testkit.Address(2)}
		s.rollBack(etcd, moment{keys: map[string]fact{}, revision: 1}, func() {
			etcd.Wipe()
			testkit.Put(t, etcd.client, providerKey(service, testkit.Address(9)), "")
		}, 30)
		s.requireExact()
		late.requireAddresses(t, testkit.Address(9))
		require.NoError(t, s.consumer.UnSubscribe(testkit.Consumer(service), late))
	}
}
