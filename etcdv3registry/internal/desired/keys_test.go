// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	ttl = 10 * time.Second
	// halfMinute is the longest that anything takes that nothing hinders.
	halfMinute = 31 * time.Second
)

// withReconciler runs a test with a Reconciler of its own, in time that passes by itself.
func withReconciler(t *testing.T, test func(*testing.T, *etcdfake.Etcd, *Reconciler)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		r := New(Config{
			Dial: e.Dial(t), TTL: ttl, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond),
			OpenWatches: func(ctx context.Context, _ *clientv3.Client) (WatchStream, error) { return e.OpenWatches(ctx) },
		})
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = r.Close(ctx)
		}()
		test(t, e, r)
	})
}

// wait waits as a call of the framework does.
func wait(t *testing.T, c *Change) error {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c.Wait(ctx)
}

func put(t *testing.T, r *Reconciler, keys ...Key) {
	t.Helper()
	for _, key := range keys {
		require.NoError(t, wait(t, r.Put(key)), key.Name)
	}
}

func numbered(n int) (keys []Key) {
	for i := range n {
		keys = append(keys, Key{Name: fmt.Sprintf("/dubbo/greeter/providers/%03d", i), Parent: "/dubbo/greeter"})
	}
	return keys
}

func TestKeysAreUnderOneLeaseAndGoWithIt(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		keys[2].Persistent = true
		put(t, r, keys...)
		assert.Equal(t, 3, r.Len())
		assert.Len(t, e.Keys("/dubbo/greeter/"), 3)
		assert.Contains(t, e.Keys(""), "/dubbo/greeter")
		assert.Equal(t, e.Lease(keys[0].Name), e.Lease(keys[1].Name))
		assert.Equal(t, fmt.Sprint(e.Lease(keys[0].Name)), e.Keys("")[keys[0].Name])
		assert.Zero(t, e.Lease(keys[2].Name))
		assert.Zero(t, e.Lease("/dubbo/greeter"))
		time.Sleep(10 * ttl)
		assert.Len(t, e.Keys("/dubbo/greeter/"), 3, "it is kept alive")

		require.NoError(t, r.Close(t.Context()))
		require.NoError(t, r.Close(t.Context()), "again")
		assert.Equal(t, map[string]string{keys[2].Name: ""}, e.Keys("/dubbo/greeter/"))
		assert.ErrorIs(t, wait(t, r.Put(keys[0])), ErrClosed)
		assert.NoError(t, wait(t, r.Delete(keys[1])))
	})
}

func TestManyKeysAreFewTransactions(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, Key{Name: "/first"})
		e.Requests("Txn")
		beforeEach(e, func() { time.Sleep(time.Millisecond) })
		var changes []*Change
		for _, key := range numbered(100) {
			changes = append(changes, r.Put(key))
		}
		for _, c := range changes {
			require.NoError(t, wait(t, c))
		}
		assert.LessOrEqual(t, e.Requests("Txn"), 2, "what comes while one is under way goes together")
		assert.Len(t, e.Keys("/dubbo/greeter/"), 100)
	})
}

func TestLimitsOfEtcdAreLearned(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, numbered(200)...)
		e.Set(func(e *etcdfake.Etcd) { e.MaxOps, e.MaxBytes = 16, 300 })
		e.Expire()
		time.Sleep(ttl)
		assert.Len(t, e.Keys("/dubbo/greeter/"), 200)
		assert.LessOrEqual(t, r.cfg.Limits.Ops(), 17, "with one for the level of a nested transaction")
		assert.Less(t, r.cfg.Limits.Bytes(), 2000)

		persistent := Key{Name: "/dubbo/greeter/providers/persistent", Persistent: true}
		put(t, r, persistent)
		e.Delete(persistent.Name)
		time.Sleep(ttl)
		assert.Contains(t, e.Keys(""), persistent.Name, "it is looked for in as many requests as it takes")
	})
}

func TestSeveralWhoPutAKeyHaveItDeletedTogether(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		key := numbered(1)[0]
		put(t, r, key, key)
		require.NoError(t, wait(t, r.Delete(key)))
		assert.Contains(t, e.Keys(""), key.Name)
		require.NoError(t, wait(t, r.Delete(key)))
		assert.NotContains(t, e.Keys(""), key.Name)
		require.NoError(t, wait(t, r.Delete(key)), "nobody has put it")
		synctest.Wait()
		assert.Empty(t, r.entries)
	})
}

func TestReplacingIsOneTransaction(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		watch := e.Client(t).Watch(t.Context(), keys[0].Name)
		require.True(t, (<-watch).Created)
		e.Requests("Txn")
		require.NoError(t, wait(t, r.Replace(keys[0], keys[1])))
		assert.Equal(t, 1, e.Requests("Txn"))
		gone := (<-watch).Events
		require.Len(t, gone, 1)
		assert.Equal(t, e.Revision(), gone[0].Kv.ModRevision)
		assert.NotContains(t, e.Keys(""), keys[0].Name)
		assert.Contains(t, e.Keys(""), keys[1].Name)
	})
}

func TestKeysAreBackAfterTheirLeaseHasEnded(t *testing.T) {
	for name, end := range map[string]func(*etcdfake.Etcd){
		"Expired": (*etcdfake.Etcd).Expire,
		"Wiped":   (*etcdfake.Etcd).Wipe,
		"Away for longer than it": func(e *etcdfake.Etcd) {
			e.Away(true)
			time.Sleep(3 * ttl)
			e.Away(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				keys := numbered(5)
				keys[4].Persistent = true
				put(t, r, keys...)
				before := e.Lease(keys[0].Name)
				end(e)
				r.Resync() // as the connection does
				time.Sleep(ttl)
				assert.Len(t, e.Keys("/dubbo/greeter/"), 5)
				assert.Contains(t, e.Keys(""), "/dubbo/greeter")
				if name != "Wiped" { // which counts them from the first again
					assert.NotEqual(t, before, e.Lease(keys[0].Name))
				}
				assert.NotZero(t, e.Lease(keys[0].Name))
			})
		})
	}
}

func TestKeysThatSomebodyElseDeletesAreBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		keys[1].Value = "of an instance"
		keys[2].Persistent = true
		put(t, r, keys...)
		time.Sleep(ttl)
		e.Requests("LeaseTimeToLive")
		time.Sleep(10 * ttl)
		assert.Zero(t, e.Requests("LeaseTimeToLive"), "nothing has changed")

		e.Delete(keys[0].Name, keys[2].Name, "/dubbo/greeter")
		e.Put(keys[1].Name, "of somebody else")
		time.Sleep(ttl)
		found := e.Keys("/dubbo/greeter/")
		assert.Len(t, found, 3)
		assert.Equal(t, "of an instance", found[keys[1].Name])
		assert.NotZero(t, e.Lease(keys[1].Name))
		assert.Contains(t, e.Keys(""), "/dubbo/greeter")
	})
}

// Two processes at one address, as the port of the second was taken and it goes on.
func TestKeyThatAnotherProcessHasPutIsNotSaidToBeDeleted(t *testing.T) {
	log := logtest.Record(t)
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys...)
		e.PutUnder(keys[1].Name, keys[1].Value, 0x77)
		require.Eventually(t, func() bool { return e.Lease(keys[1].Name) == e.Lease(keys[0].Name) }, ttl, time.Millisecond)
	})
	lines := log.Lines("put by another one")
	require.Len(t, lines, 1)
	assert.Contains(t, lines[0], "1 key(s) of this process were put by another one: do two run at one address? Registering again /dubbo/greeter/providers/001, which is under lease 77 there")
	assert.Empty(t, log.Lines("by somebody else"))
}

// A parent is nothing that is kept, but whoever comes next finds it.
func TestParentThatWasDeletedIsBackWithTheNextKey(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		e.Delete("/dubbo/greeter")
		put(t, r, keys[1])
		assert.Contains(t, e.Keys(""), "/dubbo/greeter")
		assert.Len(t, e.Keys("/dubbo/greeter/"), 2)
	})
}

func TestPersistentKeysAreBackInAStoreThatWasWiped(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		key := Key{Name: "/dubbo/greeter/configurators/a", Persistent: true}
		put(t, r, key)
		e.Wipe()
		r.Resync()
		time.Sleep(time.Second)
		assert.Contains(t, e.Keys(""), key.Name)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "") })
		e.Delete(key.Name)
		r.Resync()
		time.Sleep(time.Second)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		r.Resync()
		time.Sleep(time.Second)
		assert.Contains(t, e.Keys(""), key.Name, "it may be looked for again")
	})
}

func TestEtcdThatIsAwayIsAnErrorThatCanPass(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Away(true)
		keys := numbered(3)
		err := wait(t, r.Put(keys[0]))
		require.ErrorContains(t, err, "connection refused")
		assert.True(t, retry.CanPass(err))
		begun := time.Now()
		require.Error(t, wait(t, r.Put(keys[1])))
		assert.Zero(t, time.Since(begun), "nobody waits for what is known to be away")
		r.Delete(keys[1])

		e.Away(false)
		time.Sleep(ttl)
		assert.Equal(t, []string{keys[0].Name}, slices.Sorted(maps.Keys(e.Keys("/dubbo/greeter/"))))
		put(t, r, keys[2])
	})
}

// etcd stands still: the end of a wait says what it waited for.
func TestWaitThatEndsSaysWhatWasTried(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		still := make(chan struct{})
		e.Set(func(e *etcdfake.Etcd) { e.Hold = still })
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err := r.Put(numbered(1)[0]).Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "the last attempt: take a lease")
		close(still)
		time.Sleep(ttl)
		assert.Len(t, e.Keys("/dubbo/greeter/"), 1)
	})
}

func TestClosingEndsWithItsContext(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, numbered(1)...)
		e.Set(func(e *etcdfake.Etcd) { e.Hold = make(chan struct{}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorContains(t, r.Close(ctx), "its keys go within 10s")
		time.Sleep(2 * ttl)
		assert.Empty(t, e.Keys("/dubbo/greeter/"))
	})
}

// A key that is under the lease and that nobody wants is out of a backup, or by a
// request that came late.
func TestKeyUnderTheLeaseThatNobodyWantsIsDeleted(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys...)
		lease := e.Lease(keys[0].Name)
		require.NoError(t, wait(t, r.Delete(keys[0])))
		e.PutUnder(keys[0].Name, "", lease)
		time.Sleep(ttl)
		assert.Equal(t, []string{keys[1].Name}, slices.Sorted(maps.Keys(e.Keys("/dubbo/greeter/"))))
	})
}

func TestKeyOfAnErrorIsShownWithoutItsSecrets(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		name := "/dubbo/greeter/providers/tri%3A%2F%2F10.0.0.1%3Ftoken%3Ds3cret"
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", name) })
		err := wait(t, r.Put(Key{Name: name}))
		require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
		assert.False(t, strings.Contains(err.Error(), "s3cret") || errors.Is(err, ErrClosed), "%v", err)
	})
}
