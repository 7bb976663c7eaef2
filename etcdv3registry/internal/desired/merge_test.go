// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

func TestMergesThatNobodyHasWrittenTakeOneTransaction(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, append(wordsOf(20, "shop"), Key{Name: "m", Merge: text("r1")})...))
		assert.Equal(t, 1, e.Requests("Txn"))
		requireAll(t, e, 20, "shop")
		assert.Equal(t, "r1", e.Keys("")["m"])
		assert.Zero(t, e.Requests("LeaseGrant"))
	})
}

func TestMergesThatAreThereAlreadyTakeOneTransaction(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		for i := range 20 {
			e.Put(fmt.Sprintf("k%d", i), "market,shop")
		}
		begun, revision := time.Now(), e.Revision()
		requireNone(t, together(t, r, wordsOf(20, "shop")...))
		assert.Zero(t, time.Since(begun), "there is no conflict")
		assert.Equal(t, 1, e.Requests("Txn"))
		assert.Equal(t, revision, e.Revision())
		requireNone(t, together(t, r, wordsOf(20, "shop")...))
		assert.Equal(t, 1, e.Requests("Txn"), "they are looked at again")
		assert.Equal(t, revision, e.Revision())
	})
}

func TestOnlyWhatIsMissingIsMerged(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Put("k0", "shop")
		e.Put("k1", "market")
		e.Put("k2", "market,shop")
		sent := 0
		beforeEach(e, func() {
			if sent++; sent == 2 { // others write what need not be written
				e.Put("k0", "shop,inn")
				e.Put("k2", "market,shop,inn")
			}
		})
		requireNone(t, together(t, r, wordsOf(4, "shop")...))
		assert.Equal(t, 2, e.Requests("Txn"))
		assert.Equal(t, map[string]string{"k0": "shop,inn", "k1": "market,shop", "k2": "market,shop,inn", "k3": "shop"}, e.Keys(""))
	})
}

func TestChangeByAnotherIsMergedAnew(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		others := []string{"a", "a,b", "a,b,c"}
		beforeEach(e, func() {
			if len(others) > 0 {
				e.Put("k7", others[0])
				others = others[1:]
			}
		})
		requireNone(t, together(t, r, wordsOf(20, "shop")...))
		assert.Equal(t, "a,b,c,shop", e.Keys("")["k7"])
	})
}

func TestMergeThatOthersAreAlwaysQuickerAtHoldsUpNothingElse(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		others := 0
		beforeEach(e, func() {
			others++
			e.Put("k7", fmt.Sprintf("other%d", others))
		})
		begun := time.Now()
		changes := make([]*Change, 20)
		r.mu.Lock()
		for i, key := range wordsOf(20, "shop") {
			changes[i] = r.changeLocked(r.wantLocked(key))
		}
		r.mu.Unlock()
		require.NoError(t, wait(t, r.Put(Key{Name: "instance"})))
		for i, c := range changes {
			if i != 7 {
				assert.NoError(t, wait(t, c))
			}
		}
		assert.Zero(t, time.Since(begun))
		assert.ErrorIs(t, wait(t, changes[7]), ErrConflict)
		assert.LessOrEqual(t, others, conflicts+4)

		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(halfMinute)
		assert.Contains(t, e.Keys("")["k7"], ",shop", "it is tried all the same")
	})
}

func TestMergeThatIsRefusedHoldsUpNothingElse(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "k7") })
		for i, err := range together(t, r, wordsOf(20, "shop")...) {
			if i == 7 {
				assert.ErrorContains(t, err, "k7")
				assert.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
				continue
			}
			assert.NoError(t, err)
		}
		assert.Equal(t, 21, e.Requests("Txn"))
		put(t, r, Key{Name: "instance"})
		time.Sleep(10 * time.Minute)
		assert.Less(t, e.Requests("Txn"), 400, "in ten minutes")
		e.Delete("k3", "instance")
		time.Sleep(ttl)
		assert.Contains(t, e.Keys(""), "k3", "it can be looked for all the same")
		assert.Contains(t, e.Keys(""), "instance")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(halfMinute)
		requireAll(t, e, 20, "shop")
	})
}

func TestManyMergesTakeAsManyTransactionsAsTheyHaveTo(t *testing.T) {
	for _, c := range []struct {
		name     string
		n, bytes int
		maxOps   int
		requests int
	}{
		{"OfManyOperations", 300, 1, 0, 3},
		{"OfManyBytes", 4, 500_000, 0, 2},
		{"OfOneThatIsTooLargeForOthers", 3, 1<<20 + 1, 0, 3},
		{"WithAnEtcdThatTakesFewerOperations", 100, 1, 30, 2 + 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				e.Set(func(e *etcdfake.Etcd) { e.MaxOps = c.maxOps })
				w := strings.Repeat("a", c.bytes)
				requireNone(t, together(t, r, wordsOf(c.n, w)...))
				assert.Equal(t, c.requests, e.Requests("Txn"))
				requireAll(t, e, c.n, w)
			})
		})
	}
}

func TestManyMergesOfOneKeyAreOneChange(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, wordOf(0, "a"), wordOf(0, "b"), wordOf(0, "c"), wordOf(1, "a")))
		assert.Equal(t, 1, e.Requests("Txn"))
		assert.Equal(t, "a,b,c", e.Keys("")["k0"])
		require.NoError(t, wait(t, r.Delete(wordOf(0, "b"))))
		assert.Equal(t, "a,b,c", e.Keys("")["k0"], "it belongs to others as well")
		assert.Equal(t, 3, r.Len())
	})
}

// A transaction that may write costs etcd an entry in its log, even if it turns
// out not to.
func TestMergesThatMayBeLostAreReadFirst(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		requireNone(t, together(t, r, wordsOf(20, "shop")...))
		e.Put("k0", "shop,market")
		e.Requests("Txn")
		revision := e.Revision()
		r.Resync()
		time.Sleep(resyncSpread)
		assert.Equal(t, 1, e.Requests("Txn"))
		assert.Equal(t, revision, e.Revision())

		e.Wipe()
		e.Put("k0", "market")
		r.Resync()
		time.Sleep(resyncSpread)
		assert.Equal(t, 3, e.Requests("Txn"))
		assert.Equal(t, "market,shop", e.Keys("")["k0"])
		e.Delete("k0")
		r.Resync()
		time.Sleep(resyncSpread)
		requireAll(t, e, 20, "shop")
	})
}

// With a lease it is looked as that is kept.
func TestMergesAreLookedAtWithWhatIsLeased(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		put(t, r, wordOf(0, "shop"), Key{Name: "instance"}, Key{Name: "m", Merge: text("r1")})
		e.Put("k0", "inn")
		e.Put("m", "refreshed by another")
		time.Sleep(2 * ttl)
		assert.Equal(t, "inn,shop", e.Keys("")["k0"])
		assert.Equal(t, "refreshed by another", e.Keys("")["m"])
		e.Delete("m")
		time.Sleep(2 * ttl)
		assert.Equal(t, "r1", e.Keys("")["m"])
		e.Expire()
		time.Sleep(2 * ttl)
		assert.Contains(t, e.Keys(""), "instance")
	})
}

func TestMergeThatIsToBeGoneIsDeletedOnce(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		m, gone := Key{Name: "m", Merge: text("r1")}, Key{Name: "m", Merge: nothing{}}
		e.Put("m", "r0")
		put(t, r, gone, wordOf(0, "shop"))
		assert.Equal(t, map[string]string{"k0": "shop"}, e.Keys(""))
		put(t, r, gone)
		synctest.Wait()
		assert.Len(t, r.entries, 1, "there is nothing to keep")
		require.NoError(t, wait(t, r.Replace(gone, m)))
		assert.Equal(t, "r1", e.Keys("")["m"])
		require.NoError(t, wait(t, r.Replace(m, Key{Name: "m", Merge: text("r2")})))
		assert.Equal(t, "r2", e.Keys("")["m"])
		require.NoError(t, wait(t, r.Replace(Key{Name: "m", Merge: text("r2")}, gone)))
		assert.NotContains(t, e.Keys(""), "m")
		e.Put("m", "by another process")
		r.Resync()
		time.Sleep(time.Minute)
		assert.Equal(t, "by another process", e.Keys("")["m"])
	})
}

func TestMergesAreWrittenWhenEtcdIsBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Away(true)
		for _, err := range together(t, r, append(wordsOf(20, "shop"), Key{Name: "instance"})...) {
			require.ErrorContains(t, err, "connection refused")
		}
		time.Sleep(time.Minute)
		e.Away(false)
		e.Requests("Txn")
		time.Sleep(4 * time.Second)
		assert.Equal(t, 2, e.Requests("Txn"))
		requireAll(t, e, 20, "shop")
		assert.Contains(t, e.Keys(""), "instance")
	})
}

// What is contended, and not wanted any more when its turn comes.
func TestMergeThatIsTakenBackWhileOthersAreQuicker(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		n := 0
		beforeEach(e, func() {
			n++
			e.Put("k0", fmt.Sprint(n))
		})
		change := r.Put(wordOf(0, "shop"))
		synctest.Wait() // it is left for a moment
		require.Equal(t, 1, parkedOf(r))
		r.Delete(wordOf(0, "shop"))
		require.NoError(t, wait(t, change))
		synctest.Wait()
		assert.Empty(t, r.entries)
		assert.NotContains(t, e.Keys("")["k0"], "shop")
	})
}

// parkedOf is how many entries are.
func parkedOf(r *Reconciler) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.entries {
		if e.parked {
			n++
		}
	}
	return n
}
