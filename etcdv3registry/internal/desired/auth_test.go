// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"fmt"
	"sync/atomic"
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

// A right to one key of the lease was taken away: etcd keeps it alive no more, and
// all would go with it.
func TestOtherKeysDoNotGoWithOneThatMayNotBeWrittenAnyMore(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(5)
		put(t, r, keys...)
		lease := e.Lease(keys[0].Name)
		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", keys[3].Name) })
		r.LeaveLease()
		for begun := time.Now(); time.Since(begun) < 2*ttl; time.Sleep(100 * time.Millisecond) {
			for _, i := range []int{0, 1, 2, 4} {
				require.Contains(t, e.Keys(""), keys[i].Name, "after %v", time.Since(begun))
			}
		}
		assert.NotEqual(t, lease, e.Lease(keys[0].Name))
		assert.NotContains(t, e.Keys(""), keys[3].Name)
		lines := log.Lines("003")
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "ERROR [etcdv3] etcd refuses key "+keys[3].Name)

		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(halfMinute)
		assert.Contains(t, e.Keys(""), keys[3].Name)
	})
}

// Keys of one kind are beside each other, or the right to the directory of one would
// be one to those of others.
func TestARightThatLacksIsThatToTheDirectoryOrToTheKeyAlone(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "") })
		alone := wordOf(0, "shop")
		alone.Name, alone.Alone = "/dubbo/mapping/org.a.Greeter", true
		require.ErrorContains(t, wait(t, r.Put(alone)), "grant-permission ROLE readwrite /dubbo/mapping/org.a.Greeter)")
		require.ErrorContains(t, wait(t, r.Put(numbered(1)[0])), "grant-permission ROLE readwrite --prefix=true /dubbo/greeter/providers/)")

		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("LeaseTimeToLive", "") })
		r.Resync()
		time.Sleep(ttl)
		lines := log.Lines("cannot look whether")
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "grant-permission ROLE read --prefix=true /dubbo/greeter/providers/)")
	})
}

func TestALeaseThatIsLeftBeforeThereIsOneIsNothing(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		r.LeaveLease()
		time.Sleep(time.Second)
		assert.Zero(t, e.Requests("LeaseGrant"))
		put(t, r, numbered(1)...)
	})
}

// A password that is wrong from the start: there is no connection to write over.
func TestAUserThatIsNotLetInAtAllIsSaidToBe(t *testing.T) {
	log := logtest.Record(t)
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		var right atomic.Bool
		dial := e.Dial(t)
		r := New(Config{Dial: func(ctx context.Context) (*clientv3.Client, error) {
			if !right.Load() {
				return nil, fmt.Errorf("connect: %w", rpctypes.ErrAuthFailed)
			}
			return dial(ctx)
		}, TTL: ttl, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond)})
		defer func() { _ = r.Close(t.Context()) }()
		change := r.Put(numbered(1)[0])
		require.ErrorContains(t, wait(t, change), "etcd does not let this process in: connect: etcdserver: authentication failed")
		time.Sleep(time.Minute)
		assert.Len(t, log.Lines("etcd does not let this process in"), 1)
		assert.Empty(t, log.Lines("etcd does not take changes"))

		right.Store(true)
		awaitKeys(t, e, 1, halfMinute)
	})
}

// Each key by itself would be refused as well, and cost etcd the check of a password.
func TestAUserThatIsNotLetInIsALineAndARequestHoweverManyKeys(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := append(numbered(50), wordOf(0, "shop"), wordOf(1, "shop"), wordOf(2, "shop"))
		put(t, r, keys...)
		there := e.Keys("")
		log := logtest.Record(t)
		e.Requests("Txn")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return rpctypes.ErrGRPCAuthFailed } })
		e.Expire()
		change := r.Put(Key{Name: "/dubbo/another"})
		require.ErrorIs(t, wait(t, change), rpctypes.ErrAuthFailed)
		time.Sleep(2 * time.Minute)
		assert.Less(t, e.Requests("Txn"), 30)
		lines := log.Lines("not let this process in")
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "ERROR")

		r.Delete(Key{Name: "/dubbo/another"})
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(halfMinute)
		now := e.Keys("")
		for key := range there {
			assert.Contains(t, now, key)
		}
		assert.NotContains(t, now, "/dubbo/another")
		assert.Len(t, log.Lines("refuses nothing any more"), 1)
	})
}
