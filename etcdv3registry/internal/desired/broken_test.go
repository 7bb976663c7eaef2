// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// What answers is not etcd, or is broken: it must not be asked all the time.
func TestServerThatIsWrongIsAskedNowAndThen(t *testing.T) {
	lost := func(method string) error {
		if method == "Txn" {
			return rpctypes.ErrGRPCLeaseNotFound
		}
		return nil
	}
	for name, wrong := range map[string]func(*etcdfake.Etcd, string) error{
		"NoLeaseIsKnown": func(_ *etcdfake.Etcd, method string) error { return lost(method) },
		"LeasesEndAtOnce": func(e *etcdfake.Etcd, method string) error {
			if method == "LeaseKeepAlive" {
				e.Expire()
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				keys := numbered(3)
				put(t, r, keys[0])
				e.Requests("Txn")
				e.Requests("LeaseGrant")
				e.Set(func(e2 *etcdfake.Etcd) { e2.Fail = func(method string, _ []string) error { return wrong(e, method) } })
				_ = wait(t, r.Put(keys[1]))
				e.Expire()
				time.Sleep(10 * time.Minute)
				assert.Less(t, e.Requests("Txn")+e.Requests("LeaseGrant"), 600, "in ten minutes")
				e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
				time.Sleep(halfMinute)
				assert.Len(t, e.Keys("/dubbo/greeter/"), 2)
				require.NoError(t, wait(t, r.Put(keys[2])))
			})
		})
	}
}

// never has transactions not succeed.
type never struct {
	clientv3.KV
	sent atomic.Int32
}

func (n *never) Txn(context.Context) clientv3.Txn { return neverTxn{n} }

type neverTxn struct{ n *never }

func (t neverTxn) If(...clientv3.Cmp) clientv3.Txn  { return t }
func (t neverTxn) Then(...clientv3.Op) clientv3.Txn { return t }
func (t neverTxn) Else(...clientv3.Op) clientv3.Txn { return t }
func (t neverTxn) Commit() (*clientv3.TxnResponse, error) {
	t.n.sent.Add(1)
	return &clientv3.TxnResponse{}, nil
}

func TestTransactionThatNeverSucceedsIsTriedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := etcdfake.New().Client(t)
		n := &never{KV: client.KV}
		client.KV = n
		r := New(Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }, TTL: ttl, Timeout: time.Second, Retry: retry.NTimes(1, time.Second)})
		require.ErrorContains(t, wait(t, r.Put(numbered(1)[0])), "attempts in a row did not help")
		time.Sleep(10 * time.Minute)
		assert.Less(t, n.sent.Load(), int32(600), "in ten minutes")
		require.NoError(t, r.Close(t.Context()))
	})
}
