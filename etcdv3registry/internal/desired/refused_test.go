// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// etcd has one value of a key, refuses another, and the key is not wanted any
// more.
func TestAKeyOfWhichAnotherValueIsRefusedIsDeletedAllTheSame(t *testing.T) {
	r := New(Config{TTL: time.Second})
	r.start.Do(func() {}) // what the writer does is done below
	first := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "1"}
	r.Put(first)
	e := r.entries[first.Name]
	r.mu.Lock()
	b := r.nextBatchLocked()
	require.NotNil(t, b)
	e.synced, e.exists = true, true // etcd took it
	e.tellLocked(nil)
	r.mu.Unlock()

	r.Replace(first, Key{Name: first.Name, Value: "too large"})
	r.mu.Lock()
	b = r.nextBatchLocked()
	r.mu.Unlock()
	_ = r.refused(t.Context(), nil, b, errors.New("it is too large"))
	r.Delete(first)

	r.mu.Lock()
	defer r.mu.Unlock()
	b = r.nextBatchLocked()
	require.NotNil(t, b, "the first value is still there")
	require.Len(t, b.pieces, 1)
	assert.False(t, b.pieces[0].wanted)
}

// A key gets another value while etcd is asked to take the first.
func TestWhoHasReplacedAKeyIsNotToldThatTheOneBeforeIsRefused(t *testing.T) {
	r := New(Config{TTL: time.Second})
	r.start.Do(func() {}) // what the writer does is done below
	large := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "too large"}
	r.Put(large)
	r.mu.Lock()
	b := r.nextBatchLocked()
	r.mu.Unlock()
	small := Key{Name: large.Name, Value: "1"}
	change := r.Replace(large, small)
	_ = r.refused(t.Context(), nil, b, errors.New("it is too large"))
	r.requeue(b)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, change.Wait(ctx), context.Canceled, "nothing is known of it yet")
	r.mu.Lock()
	defer r.mu.Unlock()
	b = r.nextBatchLocked()
	require.NotNil(t, b)
	require.Len(t, b.pieces, 1)
	assert.Equal(t, small, b.pieces[0].key)
}

// refuse has a method refused if it is about a key; empty: about any.
func refuse(method, key string) func(string, []string) error {
	return func(asked string, keys []string) error {
		if asked == method && (key == "" || slices.Contains(keys, key)) {
			return rpctypes.ErrGRPCPermissionDenied
		}
		return nil
	}
}

func TestWhatEtcdRefusesIsAnErrorToItsCallerAlone(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(5)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", keys[3].Name) })
		var changes []*Change
		for _, key := range keys {
			changes = append(changes, r.Put(key))
		}
		for i, c := range changes {
			if i == 3 {
				assert.ErrorIs(t, wait(t, c), rpctypes.ErrPermissionDenied)
			} else {
				assert.NoError(t, wait(t, c))
			}
		}
		assert.Len(t, e.Keys("/dubbo/greeter/"), 4)
		require.NoError(t, wait(t, r.Delete(keys[3])))
		e.Requests("Txn")
		time.Sleep(time.Hour)
		assert.Zero(t, e.Requests("Txn"), "it is not wanted any more")
	})
}

// Who may write below consumers/ only may not touch the key of the interface.
func TestKeyOfWhichTheParentMayNotBeWrittenIsPutWithoutIt(t *testing.T) {
	for _, there := range []bool{false, true} {
		withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
			if there {
				e.Put("/dubbo/greeter", "")
			}
			e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "/dubbo/greeter") })
			put(t, r, numbered(3)...)
			assert.Len(t, e.Keys("/dubbo/greeter/"), 3)
			e.Expire()
			time.Sleep(halfMinute)
			assert.Len(t, e.Keys("/dubbo/greeter/"), 3)
		})
	}
}

// The right to the interface's key is taken away, while that to those below it stays.
func TestKeyOfWhichTheParentMayNotBeReadAnyMoreIsPutWithoutIt(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(3)
		put(t, r, keys[:2]...)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "/dubbo/greeter") })
		put(t, r, keys[2])
		e.Expire()
		awaitKeys(t, e, 3, halfMinute)
	})
}

func TestKeyThatEtcdRefusesForAWhileIsBack(t *testing.T) {
	for name, refused := range map[string]func(string, []string) error{
		"TheLease": refuse("LeaseGrant", ""),
		"TheKey":   refuse("Txn", numbered(1)[0].Name),
		"AllOfIt":  func(string, []string) error { return rpctypes.ErrGRPCAuthFailed },
		"TheLookAt": func(method string, _ []string) error {
			if method == "LeaseTimeToLive" || method == "Watch" {
				return rpctypes.ErrGRPCPermissionDenied
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				keys := numbered(2)
				put(t, r, keys...)
				e.Set(func(e *etcdfake.Etcd) { e.Fail = refused })
				if name == "TheLookAt" {
					e.Delete(keys[0].Name)
				} else {
					e.Expire()
				}
				time.Sleep(10 * time.Minute)
				assert.NotContains(t, e.Keys(""), keys[0].Name)
				n := e.Requests("LeaseGrant") + e.Requests("Txn")
				assert.Less(t, n, 120, "requests in ten minutes")

				e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
				time.Sleep(halfMinute)
				assert.Len(t, e.Keys("/dubbo/greeter/"), 2)
				assert.NotZero(t, e.Lease(keys[0].Name))
			})
		})
	}
}

func TestLeaseThatIsRefusedIsAnErrorToWhoNeedsOne(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("LeaseGrant", "") })
		keys := numbered(2)
		keys[1].Persistent = true
		first, second := r.Put(keys[0]), r.Put(keys[1])
		assert.ErrorIs(t, wait(t, first), rpctypes.ErrPermissionDenied)
		assert.NoError(t, wait(t, second))
		assert.Contains(t, e.Keys(""), keys[1].Name)
	})
}
