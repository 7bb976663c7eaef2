// SPDX-License-Identifier: Apache-2.0

package etcdfake_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

func TestKeysAreListedAndWatchedFromARevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := e.Client(t)
		e.Put("/a/1", "one")
		listed, err := c.Get(t.Context(), "/a/", clientv3.WithPrefix())
		require.NoError(t, err)
		require.Len(t, listed.Kvs, 1)
		e.Put("/a/2", "two")
		e.Delete("/a/1")

		before, err := c.Get(t.Context(), "/a/", clientv3.WithPrefix(), clientv3.WithRev(listed.Header.Revision))
		require.NoError(t, err)
		assert.EqualValues(t, 1, before.Count)
		e.Put("/a/3", "three")
		since, err := c.Get(t.Context(), "/a/", clientv3.WithPrefix(), clientv3.WithMinModRev(e.Revision()))
		require.NoError(t, err)
		assert.Len(t, since.Kvs, 1)
		assert.EqualValues(t, 2, since.Count, "of all")
		e.Delete("/a/3")
		ctx, cancel := context.WithCancel(t.Context())
		watch := c.Watch(ctx, "/a/", clientv3.WithPrefix(), clientv3.WithRev(listed.Header.Revision+1))
		var seen []string
		for len(seen) < 4 {
			for _, event := range (<-watch).Events {
				seen = append(seen, event.Type.String()+" "+string(event.Kv.Key))
			}
		}
		assert.Equal(t, []string{"PUT /a/2", "DELETE /a/1", "PUT /a/3", "DELETE /a/3"}, seen)
		assert.Equal(t, 1, e.Watches())
		cancel()
		synctest.Wait()
		assert.Zero(t, e.Watches())

		e.Compact()
		_, err = c.Get(t.Context(), "/a/", clientv3.WithPrefix(), clientv3.WithRev(listed.Header.Revision))
		assert.ErrorIs(t, err, rpctypes.ErrCompacted)
		compacted := c.Watch(t.Context(), "/a/", clientv3.WithPrefix(), clientv3.WithRev(2))
		assert.True(t, (<-compacted).Created)
		end := <-compacted
		assert.ErrorIs(t, end.Err(), rpctypes.ErrCompacted)
	})
}

// As etcd's syncWatchers does: the revision of the compaction itself is still told of.
func TestAWatchThatMissedWhatIsForgottenEndsWhenTheServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := e.Client(t)
		watch := c.Watch(t.Context(), "/a/", clientv3.WithPrefix())
		assert.True(t, (<-watch).Created)
		e.Away(true)
		e.Put("/a/1", "")
		e.Compact()
		e.Progress()
		synctest.Wait()
		assert.Empty(t, watch)
		e.Away(false)
		require.Len(t, (<-watch).Events, 1)
		e.Away(true)
		e.Put("/a/2", "")
		e.Put("/a/3", "")
		e.Compact()
		e.Away(false)
		end := <-watch
		assert.ErrorIs(t, end.Err(), rpctypes.ErrCompacted)
		_, ok := <-watch
		assert.False(t, ok)
	})
}

// etcd's client resumes a watch from what it was told last, progress included.
func TestAWatchGoesOnFromWhatItsClientKnowsWhenTheStreamWasBroken(t *testing.T) {
	for name, told := range map[string]bool{"NothingElse": false, "Progress": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := etcdfake.New()
				watch := e.Client(t).Watch(t.Context(), "/a/", clientv3.WithPrefix())
				assert.True(t, (<-watch).Created)
				e.Put("/elsewhere", "")
				e.Put("/elsewhere", "")
				if told {
					e.Progress()
					progress := <-watch
					assert.True(t, progress.IsProgressNotify())
				}
				e.Compact()
				e.Away(true)
				e.Away(false)
				e.Put("/a/1", "")
				heard := <-watch
				assert.Equal(t, !told, heard.CompactRevision != 0)
				assert.Equal(t, told, len(heard.Events) == 1)
			})
		})
	}
}

func TestProgressIsNotThatOfWhatWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		watch := e.Client(t).Watch(t.Context(), "/a/", clientv3.WithPrefix())
		assert.True(t, (<-watch).Created)
		e.PutSilently("/a/1", "")
		e.Progress()
		e.Put("/a/2", "")
		assert.Len(t, (<-watch).Events, 2)
	})
}

func TestATransactionIsOneRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		watch := e.Client(t).Watch(t.Context(), "/a/", clientv3.WithPrefix())
		assert.True(t, (<-watch).Created)
		e.Put("/a/1", "")
		assert.Len(t, (<-watch).Events, 1)
		before := e.Revision()
		e.Commit(map[string]string{"/a/2": "two", "/a/3": "three"}, "/a/1", "/a/4")
		assert.Len(t, (<-watch).Events, 3)
		assert.Equal(t, before+1, e.Revision())
		assert.Equal(t, map[string]string{"/a/2": "two", "/a/3": "three"}, e.Keys("/"))
		e.Delete("/a/4")
		assert.Equal(t, before+1, e.Revision(), "nothing was changed")
	})
}

func TestLeasesRunOutUnlessTheyAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := e.Client(t)
		granted, err := c.Grant(t.Context(), 3)
		require.NoError(t, err)
		_, err = c.Put(t.Context(), "/a", "", clientv3.WithLease(granted.ID))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		alive, err := c.KeepAlive(ctx, granted.ID)
		require.NoError(t, err)
		go func() {
			for range alive {
			}
		}()
		time.Sleep(time.Minute)
		assert.Len(t, e.Keys("/a"), 1)
		cancel()
		time.Sleep(4 * time.Second)
		assert.Empty(t, e.Keys("/a"))
		_, err = c.Put(t.Context(), "/a", "", clientv3.WithLease(granted.ID))
		assert.ErrorIs(t, err, rpctypes.ErrLeaseNotFound)
	})
}

func TestTransactionsCompareAndNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := e.Client(t)
		absent := clientv3.Compare(clientv3.CreateRevision("/a"), "=", 0)
		put := func() *clientv3.TxnResponse {
			response, err := c.Txn(t.Context()).Then(
				clientv3.OpTxn([]clientv3.Cmp{absent}, []clientv3.Op{clientv3.OpPut("/a", "first")}, nil),
				clientv3.OpPut("/b", ""),
			).Commit()
			require.NoError(t, err)
			return response
		}
		assert.True(t, put().Responses[0].GetResponseTxn().Succeeded)
		assert.False(t, put().Responses[0].GetResponseTxn().Succeeded)
		assert.Equal(t, map[string]string{"/a": "first", "/b": ""}, e.Keys("/"))

		e.Set(func(e *etcdfake.Etcd) { e.MaxOps = 2 })
		_, err := c.Txn(t.Context()).Then(clientv3.OpGet("/a"), clientv3.OpGet("/b"), clientv3.OpGet("/c")).Commit()
		assert.ErrorIs(t, err, rpctypes.ErrTooManyOps)
		e.Away(true)
		_, err = c.Txn(t.Context()).Then(clientv3.OpGet("/a")).Commit()
		assert.ErrorContains(t, err, "connection refused")
	})
}

// A client does not know of revisions in which nothing of its own happened.
func TestAWatchResumesInAnotherStoreAfterWhatItHasHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		e.Put("/a/1", "")
		watch := e.Client(t).Watch(t.Context(), "/a/", clientv3.WithPrefix(), clientv3.WithRev(2))
		assert.True(t, (<-watch).Created)
		assert.Len(t, (<-watch).Events, 1)
		e.Put("/b/1", "")
		e.Wipe()
		e.Put("/a/2", "")
		synctest.Wait()
		assert.Empty(t, watch, "of a revision that it has heard of already")
		e.Put("/a/3", "")
		assert.Len(t, (<-watch).Events, 1)
	})
}
