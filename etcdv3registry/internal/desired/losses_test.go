// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

const (
	parent = "/dubbo/greeter"
	// watched is by when all keys are.
	watched = time.Second
	// atOnce is a hundredth of what a look takes.
	atOnce = 50 * time.Millisecond
)

// awaitWatches waits until etcd has so many watches.
func awaitWatches(t *testing.T, e *etcdfake.Etcd, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return e.Watches() == n }, halfMinute, time.Millisecond, "%d watches", n)
}

// awaitKeys waits until so many keys are below the parent, and requires that to take
// no longer than a limit; awaitKey likewise of one.
func awaitKeys(t *testing.T, e *etcdfake.Etcd, n int, limit time.Duration, why ...any) {
	t.Helper()
	require.Eventually(t, func() bool { return len(e.Keys(parent+"/")) == n }, limit, time.Millisecond, why...)
}

func awaitKey(t *testing.T, e *etcdfake.Etcd, name string, limit time.Duration, why ...any) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, there := e.Keys("")[name]
		return there
	}, limit, time.Millisecond, why...)
}

func TestKeyThatSomebodyDeletesIsBackAtOnce(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(200)
		keys[1].Persistent = true
		put(t, r, keys...)
		awaitWatches(t, e, len(keys)+1)
		for _, key := range keys {
			e.Delete(key.Name)
		}
		awaitKeys(t, e, len(keys), atOnce)
		assert.NotZero(t, e.Lease(keys[0].Name))
		assert.Zero(t, e.Lease(keys[1].Name))
		assert.Equal(t, 1, e.Requests("OpenWatches"))
	})
}

func TestNothingIsAskedForWhileNothingHappens(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, numbered(3)...)
		time.Sleep(ttl)
		for _, method := range []string{"LeaseTimeToLive", "Watch", "OpenWatches", "Range", "Txn"} {
			e.Requests(method)
		}
		time.Sleep(time.Hour)
		for _, method := range []string{"LeaseTimeToLive", "Watch", "OpenWatches", "Range", "Txn"} {
			assert.Zero(t, e.Requests(method), method)
		}
	})
}

// The keys of a lease that is revoked go one after another, as far as a process can
// see: it neither says that somebody has deleted them nor puts some under a lease of
// their own.
func TestKeysOfALeaseThatIsRevokedAreBackAtOnceUnderOne(t *testing.T) {
	log := logtest.Record(t)
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(1000)
		var changes []*Change
		for _, key := range keys {
			changes = append(changes, r.Put(key))
		}
		for _, c := range changes {
			require.NoError(t, wait(t, c))
		}
		awaitWatches(t, e, len(keys)+1)
		e.Requests("LeaseGrant")
		e.Expire()
		awaitKeys(t, e, len(keys), atOnce)
		assert.Equal(t, 1, e.Requests("LeaseGrant"))
	})
	assert.Len(t, log.Lines("registering 1000 key(s) again under a new one"), 1)
	assert.Empty(t, log.Lines("by somebody else"))
}

func TestWhatThisProcessDeletesIsNotPutAgain(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys[0], keys[1])
		awaitWatches(t, e, 3)
		require.NoError(t, wait(t, r.Delete(keys[0])))
		require.NoError(t, wait(t, r.Replace(keys[1], keys[2])))
		time.Sleep(ttl)
		assert.Len(t, e.Keys(parent+"/"), 1)
		assert.Contains(t, e.Keys(""), keys[2].Name)
		assert.Equal(t, 2, e.Watches(), "of the key and its parent")

		put(t, r, keys[0]) // once more
		awaitWatches(t, e, 3)
		e.Delete(keys[0].Name)
		awaitKey(t, e, keys[0].Name, atOnce)
		e.Requests("Txn")
		require.NoError(t, wait(t, r.Delete(keys[0])))
		put(t, r, keys[0])
		time.Sleep(ttl)
		assert.Equal(t, 2, e.Requests("Txn"), "its own deletion is heard of after the key is back")
	})
}

// Somebody deletes it, etcd refuses to have it again, and then nobody wants it.
func TestKeyThatIsGivenUpWhileItIsLostIsNotWatchedAnyMore(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		keys[1].Parent = ""
		put(t, r, keys...)
		awaitWatches(t, e, 3)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", keys[0].Name) })
		e.Delete(keys[0].Name)
		require.Eventually(t, func() bool { return r.Status().RefusedCount == 1 }, ttl, time.Millisecond)
		require.NoError(t, wait(t, r.Delete(keys[0])))
		awaitWatches(t, e, 1) // that of the other key
	})
}

// Of references there may be many, which come and go.
func TestOfOptionalKeysOneTellsOfTheLease(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(5)
		for i := range keys {
			keys[i].Optional = true
		}
		put(t, r, keys...)
		awaitWatches(t, e, 1)
		e.Expire()
		awaitKeys(t, e, len(keys), atOnce)

		require.NoError(t, wait(t, r.Delete(keys[0])))
		put(t, r, Key{Name: parent + "/consumers/another", Parent: parent, Optional: true})
		time.Sleep(watched)
		assert.Equal(t, 1, e.Watches())
		e.Expire()
		awaitKeys(t, e, len(keys), atOnce, "another one tells of it")
		e.Delete(keys[3].Name)
		awaitKeys(t, e, len(keys), ttl, "the others are looked for")
	})
}

func TestWhoDeletesAKeyAgainAndAgainIsNotFoughtForEver(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		key := numbered(1)[0]
		put(t, r, key)
		awaitWatches(t, e, 2)
		e.Requests("Txn")
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if e.Lease(key.Name) != 0 {
				e.Delete(key.Name)
			}
		}
		n := e.Requests("Txn")
		assert.Greater(t, n, 50)
		assert.Less(t, n, 200, "in ten minutes")
		awaitKey(t, e, key.Name, longestLoss+time.Second)

		e.Delete(key.Name)
		require.NoError(t, wait(t, r.Delete(key)), "who does not want it any more does not wait")
		time.Sleep(2 * pestering)
		put(t, r, key)
		awaitWatches(t, e, 2)
		e.Delete(key.Name)
		awaitKey(t, e, key.Name, atOnce, "it had been left alone")
	})
}

func TestParentThatSomebodyDeletesIsBackWithoutAKey(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys...)
		awaitWatches(t, e, 3)
		e.Requests("Txn")
		e.Delete(parent)
		awaitKey(t, e, parent, adoption+atOnce)
		assert.Equal(t, 1, e.Requests("Txn"))
		e.Put(parent, "of somebody else")
		e.Delete(parent)
		awaitKey(t, e, parent, adoption+atOnce, "as often as it goes")

		for _, key := range keys {
			require.NoError(t, wait(t, r.Delete(key)))
		}
		e.Delete(parent)
		time.Sleep(ttl)
		assert.NotContains(t, e.Keys(""), parent, "nothing needs it any more")
		assert.Zero(t, e.Watches())
	})
}

func TestParentThatMayNotBeWrittenAnyMoreIsLeftAlone(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, numbered(1)...)
		awaitWatches(t, e, 2)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", parent) })
		e.Delete(parent)
		e.Requests("Txn")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, e.Requests("Txn"))
		e.Away(true)
		time.Sleep(time.Minute)
		e.Away(false)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", parent) })
		awaitKeys(t, e, 1, halfMinute)
		assert.Len(t, e.Keys(""), 1, "the key is there without it")
	})
}

func TestWhatIsDeletedWhileTheStreamIsBrokenIsBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys...)
		awaitWatches(t, e, 4)
		e.Away(true)
		e.Delete(keys[0].Name, parent)
		time.Sleep(time.Second)
		e.Away(false)
		awaitKeys(t, e, 3, ttl)
		time.Sleep(ttl) // for whoever asks too often
		assert.LessOrEqual(t, e.Requests("LeaseTimeToLive"), 2, "one look, and one as it has written")

		put(t, r, Key{Name: parent + "/providers/another", Parent: parent})
		assert.Contains(t, e.Keys(""), parent, "whoever comes next has it created")
		e.Delete(keys[1].Name)
		awaitKeys(t, e, 4, atOnce, "and what is deleted is heard of again")
	})
}

func TestWhatEtcdHasForgottenIsLookedFor(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys...)
		e.Delete(keys[0].Name)
		e.Compact() // before anything is watched
		awaitKeys(t, e, 2, ttl)
		awaitWatches(t, e, 3)
		e.Delete(keys[1].Name)
		awaitKeys(t, e, 2, atOnce)
		assert.Equal(t, 3, e.Watches(), "those that etcd has ended are cancelled")
	})
}

func TestStreamWithATokenThatIsRefusedIsFollowedByAnother(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		awaitWatches(t, e, 2)
		e.Requests("OpenWatches")
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if method == "Watch" {
					return rpctypes.ErrGRPCInvalidAuthToken
				}
				return nil
			}
		})
		put(t, r, keys[1])
		time.Sleep(time.Minute)
		n := e.Requests("OpenWatches")
		assert.Greater(t, n, 1)
		assert.Less(t, n, 60, "in a minute")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		awaitWatches(t, e, 3)
		e.Delete(keys[0].Name, keys[1].Name)
		awaitKeys(t, e, 2, atOnce)
	})
}

func TestWhoMayNotReadHisKeysIsNotAskedAgainAndAgain(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Watch", "") })
		keys := numbered(2)
		put(t, r, keys...)
		time.Sleep(time.Hour)
		assert.Equal(t, 1, e.Requests("OpenWatches"))
		assert.Equal(t, 3, e.Requests("Watch"))
		require.NoError(t, wait(t, r.Delete(keys[0])))
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		put(t, r, keys[0])
		time.Sleep(watched)
		e.Delete(keys[0].Name)
		awaitKey(t, e, keys[0].Name, ttl)
	})
}

// What is put again is said and counted, whoever was first to have it put.
func TestEachDeletionThatIsHeardOfIsCounted(t *testing.T) {
	keys := numbered(3)
	for name, one := range map[string]struct {
		meanwhile func(*testing.T, *etcdfake.Etcd, *Reconciler)
		lost      int
	}{
		"by the watches alone": {func(_ *testing.T, e *etcdfake.Etcd, _ *Reconciler) {
			e.Delete(keys[0].Name, keys[1].Name)
		}, 2},
		"just before it is looked whether all are there": {func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
			renewed := func() time.Time {
				r.record.mu.Lock()
				defer r.record.mu.Unlock()
				return r.record.renewed
			}
			next := func() time.Time {
				last := renewed()
				require.Eventually(t, func() bool { return renewed() != last }, ttl, time.Millisecond)
				return renewed()
			}
			time.Sleep(ttl)
			first, second := next(), next()
			time.Sleep(time.Until(second.Add(second.Sub(first) - collecting/2)))
			e.Requests("LeaseTimeToLive")
			e.Delete(keys[0].Name, keys[1].Name)
			time.Sleep(collecting)
			require.Equal(t, 1, e.Requests("LeaseTimeToLive"), "it was looked")
		}, 2},
		"as etcd goes away": {func(_ *testing.T, e *etcdfake.Etcd, _ *Reconciler) {
			e.Delete(keys[0].Name, keys[1].Name)
			time.Sleep(collecting / 2)
			e.Away(true)
			time.Sleep(ttl / 5)
			e.Away(false)
		}, 2},
		"before its put is confirmed": {func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
			e.Away(true)
			c := r.Replace(keys[0], Key{Name: keys[0].Name, Value: "new", Parent: parent})
			r.noteChange(keys[0].Name, e.Revision()+2, Content{}) // that of the put and one more
			e.Away(false)
			_ = c.Wait(t.Context())
		}, 1},
		"again and again, and it is looked": {func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
			for range 12 {
				e.Delete(keys[0].Name)
				require.Eventually(t, func() bool { return r.Status().InEtcd == 2 }, time.Second, time.Millisecond)
				r.Resync()
				require.Eventually(t, func() bool { return r.Status().InEtcd == 3 }, longestLoss+time.Second, time.Millisecond)
			}
		}, 12},
		"and one is refused": {func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
			e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", keys[2].Name) })
			e.Delete(keys[1].Name, keys[2].Name)
			require.Eventually(t, func() bool { s := r.Status(); return s.RefusedCount == 1 && s.InEtcd == 2 }, halfMinute, time.Millisecond)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log := logtest.Record(t)
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				put(t, r, keys...)
				awaitWatches(t, e, len(keys)+1)
				one.meanwhile(t, e, r)
				time.Sleep(ttl) // for whoever says it twice
				n := 0
				lines := log.Lines("by somebody else, and are registered again")
				for _, line := range lines {
					var keys int
					_, err := fmt.Sscanf(line, "WARN [etcdv3] %d key(s)", &keys)
					require.NoError(t, err)
					n += keys
				}
				assert.Equal(t, one.lost, n, lines)
				assert.EqualValues(t, len(lines), r.Status().Resyncs[reasonKeysDeleted])
			})
		})
	}
}

// Its metadata report is at an etcd where nothing else is registered: no keep-alive
// tells that something has changed.
func TestWhatIsMergedByAProcessWithoutALeaseIsKept(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, append(wordsOf(3, "shop"), wordsOf(1, "inn")...)...))
		awaitWatches(t, e, 3)
		e.Delete("k0")
		awaitKey(t, e, "k0", 5*atOnce)
		e.Put("k1", "of one that did not look what was there")
		e.Put("k2", "shop,of one that did")
		require.Eventually(t, func() bool { return e.Keys("")["k1"] == "of one that did not look what was there,shop" }, 5*atOnce, time.Millisecond)
		e.Requests("Txn")
		e.Put("k2", "shop,of one that did,and of another")
		time.Sleep(time.Hour)
		assert.Zero(t, e.Requests("Txn"), "what leaves its own there is none of its affairs")
		assert.ElementsMatch(t, []string{"shop", "inn"}, strings.Split(e.Keys("")["k0"], ","))
		assert.EqualValues(t, 2, r.Status().Resyncs[reasonKeysDeleted])

		for _, w := range []string{"shop", "inn"} {
			require.NoError(t, wait(t, r.Delete(wordOf(0, w))))
		}
		awaitWatches(t, e, 2)
		e.Delete("k0")
		time.Sleep(watched)
		assert.NotContains(t, e.Keys(""), "k0", "nobody wants it any more")
	})
}

func TestWhatIsMergedByAProcessWithALeaseIsNotWatched(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, wordsOf(3, "shop")...))
		put(t, r, numbered(1)...)
		time.Sleep(leaseless + watched)
		assert.Equal(t, 2, e.Watches(), "of the key and its parent")
		e.Delete("k0")
		awaitKey(t, e, "k0", ttl, "it is looked for, as the store has changed")
	})
}

// A process that starts slowly.
func TestWhatIsMergedIsNotWatchedAnyMoreWhenThereIsALease(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, wordsOf(3, "shop")...))
		awaitWatches(t, e, 3)
		put(t, r, numbered(1)...)
		awaitWatches(t, e, 2) // of the key and its parent
		e.Delete("k0")
		awaitKey(t, e, "k0", ttl, "it is looked for, as the store has changed")
	})
}
