// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

func TestTheStatusSaysWhatIsWantedAndWhatEtcdHas(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		assert.Equal(t, Status{}, r.Status())
		put(t, r, numbered(3)...)
		s := r.Status()
		assert.Equal(t, []int{3, 3, 0, 0}, []int{s.Wanted, s.InEtcd, s.Unregistered, s.Pending})
		assert.Equal(t, ttl, s.Lease.TTL)
		assert.NotZero(t, s.Lease.ID)
		time.Sleep(time.Hour)
		s = r.Status()
		assert.GreaterOrEqual(t, s.Lease.Remaining, ttl/2, "it is renewed")
		assert.LessOrEqual(t, s.Lease.Remaining, ttl)
		require.NoError(t, wait(t, r.Delete(numbered(1)[0])))
		assert.Equal(t, 2, r.Status().Wanted)

		e.Away(true)
		r.Put(Key{Name: "/dubbo/more"})
		r.Delete(numbered(2)[1])
		require.Eventually(t, func() bool { return r.Status().Err != nil }, 2*time.Second, time.Millisecond)
		s = r.Status()
		assert.Equal(t, []int{2, 1, 1, 2}, []int{s.Wanted, s.InEtcd, s.Unregistered, s.Pending}, "one is to be put, one to be deleted")
		assert.Equal(t, []string{"/dubbo/more"}, s.Missing)
		require.ErrorContains(t, s.Err, "connection refused")
		require.Eventually(t, func() bool { return r.Status().Lease.Unsure }, halfMinute, time.Millisecond)
		s = r.Status()
		assert.Zero(t, s.Lease.Remaining)
		assert.Equal(t, []int{2, 0, 2}, []int{s.Wanted, s.InEtcd, s.Unregistered}, "nobody knows")
		e.Expire() // as it was this process that could not reach it

		e.Away(false)
		require.Eventually(t, func() bool { return r.Status().InEtcd == 2 }, halfMinute, time.Millisecond)
		s = r.Status()
		assert.False(t, s.Lease.Unsure)
		assert.EqualValues(t, 1, s.Resyncs[reasonLeaseLost])
		assert.Equal(t, []int{2, 2, 0, 0}, []int{s.Wanted, s.InEtcd, s.Unregistered, s.Pending})
		require.NoError(t, s.Err)
	})
}

func TestTheStatusSaysWhatEtcdRefusesAndWhy(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		refused := func(_ string, keys []string) error {
			if slices.Contains(keys, "/dubbo/provider?token") || slices.Contains(keys, "/dubbo/consumer") {
				return rpctypes.ErrPermissionDenied
			}
			return nil
		}
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refused })
		_ = wait(t, r.Put(Key{Name: "/dubbo/provider?token"}))
		_ = wait(t, r.Put(Key{Name: "/dubbo/consumer", Optional: true}))
		put(t, r, Key{Name: "/dubbo/other"})
		s := r.Status()
		assert.Equal(t, []int{3, 1, 1, 2}, []int{s.Wanted, s.InEtcd, s.Unregistered, s.RefusedCount}, "the consumer works without")
		require.Len(t, s.Refused, 2)
		assert.Equal(t, "/dubbo/consumer", s.Refused[0].Name)
		assert.True(t, s.Refused[0].Optional)
		assert.Contains(t, s.Refused[1].Reason, "permission denied")
		assert.Empty(t, s.Missing)

		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		require.Eventually(t, func() bool { return r.Status().RefusedCount == 0 }, halfMinute, time.Millisecond)
		s = r.Status()
		assert.Equal(t, []int{3, 3, 0, 0}, []int{s.Wanted, s.InEtcd, s.Unregistered, s.RefusedCount})
		assert.Empty(t, s.Refused)
	})
}

func TestTheStatusNamesOnlySomeOfManyKeys(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Away(true)
		for _, key := range numbered(300) {
			r.Put(key)
		}
		synctest.Wait()
		s := r.Status()
		assert.Equal(t, 300, s.Unregistered)
		require.Len(t, s.Missing, maxNamed)
		assert.Equal(t, numbered(1)[0].Name, s.Missing[0])
	})
}

func TestNothingIsWantedAfterTheLeaseWasGivenUp(t *testing.T) {
	withReconciler(t, func(t *testing.T, _ *etcdfake.Etcd, r *Reconciler) {
		put(t, r, numbered(3)...)
		require.NoError(t, r.Close(t.Context()))
		assert.Equal(t, Status{Closed: true}, r.Status())
	})
}
