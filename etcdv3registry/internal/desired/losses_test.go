// SPDX-License-Identifier: Apache-2.0

package desired

import (
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

func TestKeyThatSomebodyDeletesIsBackAtOnce(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(200)
		keys[1].Persistent = true
		put(t, r, keys...)
		time.Sleep(watched)
		for _, key := range keys {
			e.Delete(key.Name)
		}
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), len(keys))
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
		time.Sleep(watched)
		e.Requests("LeaseGrant")
		e.Expire()
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), len(keys))
		assert.Equal(t, 1, e.Requests("LeaseGrant"))
	})
	assert.Len(t, log.Lines("registering 1000 key(s) again under a new one"), 1)
	assert.Empty(t, log.Lines("by somebody else"))
}

func TestWhatThisProcessDeletesIsNotPutAgain(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys[0], keys[1])
		time.Sleep(watched)
		require.NoError(t, wait(t, r.Delete(keys[0])))
		require.NoError(t, wait(t, r.Replace(keys[1], keys[2])))
		time.Sleep(ttl)
		assert.Len(t, e.Keys(parent+"/"), 1)
		assert.Contains(t, e.Keys(""), keys[2].Name)
		assert.Equal(t, 2, e.Watches(), "of the key and its parent")

		put(t, r, keys[0]) // once more
		time.Sleep(watched)
		e.Delete(keys[0].Name)
		time.Sleep(atOnce)
		assert.Contains(t, e.Keys(""), keys[0].Name)
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
		time.Sleep(watched)
		require.Equal(t, 3, e.Watches())
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", keys[0].Name) })
		e.Delete(keys[0].Name)
		time.Sleep(ttl)
		require.NoError(t, wait(t, r.Delete(keys[0])))
		time.Sleep(watched)
		assert.Equal(t, 1, e.Watches(), "that of the other key")
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
		time.Sleep(watched)
		assert.Equal(t, 1, e.Watches())
		e.Expire()
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), len(keys))

		require.NoError(t, wait(t, r.Delete(keys[0])))
		put(t, r, Key{Name: parent + "/consumers/another", Parent: parent, Optional: true})
		time.Sleep(watched)
		assert.Equal(t, 1, e.Watches())
		e.Expire()
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), len(keys), "another one tells of it")
		e.Delete(keys[3].Name)
		time.Sleep(ttl)
		assert.Len(t, e.Keys(parent+"/"), len(keys), "the others are looked for")
	})
}

func TestWhoDeletesAKeyAgainAndAgainIsNotFoughtForEver(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		key := numbered(1)[0]
		put(t, r, key)
		time.Sleep(watched)
		e.Requests("Txn")
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if e.Lease(key.Name) != 0 {
				e.Delete(key.Name)
			}
		}
		n := e.Requests("Txn")
		assert.Greater(t, n, 50)
		assert.Less(t, n, 200, "in ten minutes")
		time.Sleep(longestLoss + time.Second)
		assert.Contains(t, e.Keys(""), key.Name)

		e.Delete(key.Name)
		require.NoError(t, wait(t, r.Delete(key)), "who does not want it any more does not wait")
		time.Sleep(2 * pestering)
		put(t, r, key)
		time.Sleep(watched)
		e.Delete(key.Name)
		time.Sleep(atOnce)
		assert.Contains(t, e.Keys(""), key.Name, "it had been left alone")
	})
}

func TestParentThatSomebodyDeletesIsBackWithoutAKey(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys...)
		time.Sleep(watched)
		e.Requests("Txn")
		e.Delete(parent)
		time.Sleep(adoption + atOnce)
		assert.Contains(t, e.Keys(""), parent)
		assert.Equal(t, 1, e.Requests("Txn"))
		e.Put(parent, "of somebody else")
		e.Delete(parent)
		time.Sleep(adoption + atOnce)
		assert.Contains(t, e.Keys(""), parent, "as often as it goes")

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
		time.Sleep(watched)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", parent) })
		e.Delete(parent)
		e.Requests("Txn")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, e.Requests("Txn"))
		e.Away(true)
		time.Sleep(time.Minute)
		e.Away(false)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", parent) })
		time.Sleep(halfMinute)
		assert.Len(t, e.Keys(""), 1, "the key is there without it")
	})
}

func TestWhatIsDeletedWhileTheStreamIsBrokenIsBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys...)
		time.Sleep(watched)
		e.Away(true)
		e.Delete(keys[0].Name, parent)
		time.Sleep(time.Second)
		e.Away(false)
		time.Sleep(ttl)
		assert.Len(t, e.Keys(parent+"/"), 3)
		assert.LessOrEqual(t, e.Requests("LeaseTimeToLive"), 2, "one look, and one as it has written")

		put(t, r, Key{Name: parent + "/providers/another", Parent: parent})
		assert.Contains(t, e.Keys(""), parent, "whoever comes next has it created")
		e.Delete(keys[1].Name)
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), 4, "and what is deleted is heard of again")
	})
}

func TestWhatEtcdHasForgottenIsLookedFor(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys...)
		e.Delete(keys[0].Name)
		e.Compact() // before anything is watched
		time.Sleep(ttl)
		assert.Len(t, e.Keys(parent+"/"), 2)
		time.Sleep(watched)
		e.Delete(keys[1].Name)
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), 2)
		assert.Equal(t, 3, e.Watches(), "those that etcd has ended are cancelled")
	})
}

func TestStreamWithATokenThatIsRefusedIsFollowedByAnother(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		time.Sleep(watched)
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
		time.Sleep(ttl)
		e.Delete(keys[0].Name, keys[1].Name)
		time.Sleep(atOnce)
		assert.Len(t, e.Keys(parent+"/"), 2)
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
		time.Sleep(ttl)
		assert.Contains(t, e.Keys(""), keys[0].Name)
	})
}

// A lease that an etcd has which was started again has the whole of its TTL: nothing
// is written, and nobody hears of anything.
func TestLeaseLivesOnWhenEtcdIsStartedAgain(t *testing.T) {
	for name, kept := range map[string]func(string, []string) error{
		"":                             nil,
		"WhereItsKeysMayNotBeReadByIt": refuse("LeaseTimeToLive", ""),
	} {
		t.Run(name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				put(t, r, numbered(5)...)
				time.Sleep(watched)
				before, revision := e.Lease(numbered(1)[0].Name), e.Revision()
				e.Requests("LeaseGrant")
				e.Stop()
				time.Sleep(3 * ttl)
				e.Start()
				if name != "" {
					e.Set(func(e *etcdfake.Etcd) { e.Fail = mayNotSeeKeys(kept) })
				}
				time.Sleep(5 * ttl)
				assert.Equal(t, before, e.Lease(numbered(1)[0].Name))
				assert.Equal(t, revision, e.Revision(), "nothing was written")
				assert.Zero(t, e.Requests("LeaseGrant"))
			})
		})
	}
}

// mayNotSeeKeys refuses the first of two questions for a lease: that for its keys.
func mayNotSeeKeys(refuse func(string, []string) error) func(string, []string) error {
	n := 0
	return func(method string, about []string) error {
		if method == "LeaseTimeToLive" {
			if n++; n%2 == 0 {
				return nil
			}
		}
		return refuse(method, about)
	}
}

func TestWhatWaitsIsWrittenWhenEtcdIsBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		e.Stop()
		r.Put(keys[1])
		time.Sleep(4 * ttl)
		e.Requests("Txn")
		e.Requests("LeaseTimeToLive")
		for range 100 { // a connection that comes and goes
			r.Retry()
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, e.Requests("Txn")+e.Requests("LeaseTimeToLive"), 4)
		e.Start()
		r.Retry()
		time.Sleep(3 * comingBack)
		assert.Len(t, e.Keys(parent+"/"), 2)
	})
}
