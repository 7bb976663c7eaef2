// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// withBroken runs a test with a hub of which the client was broken.
func withBroken(t *testing.T, breaks func(*clientv3.Client), test func(*testing.T, *etcdfake.Etcd, *Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		client := e.Client(t)
		breaks(client)
		h := NewHub(Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }, Timeout: time.Second, Session: session})
		defer h.Close()
		test(t, e, h)
	})
}

// endingWatcher has each watch say something and end.
type endingWatcher struct {
	clientv3.Watcher
	last clientv3.WatchResponse
}

func (w *endingWatcher) Watch(ctx context.Context, _ string, _ ...clientv3.OpOption) clientv3.WatchChan {
	to := make(chan clientv3.WatchResponse)
	go func() {
		defer close(to)
		for _, r := range []clientv3.WatchResponse{{Created: true}, w.last} {
			select {
			case to <- r:
			case <-ctx.Done():
			}
		}
	}()
	return to
}

// What answers is not etcd, or is broken: it must not be asked all the time.
func TestWatchesThatEndAtOnceAreMadeAgainNowAndThen(t *testing.T) {
	for name, last := range map[string]clientv3.WatchResponse{
		"Compacted":         {Canceled: true, CompactRevision: 7},
		"WithoutReason":     {Created: true},
		"OfAnotherKey":      {Events: []*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte("/b/1"), ModRevision: 1}}}},
		"TheSameEventAgain": {Events: []*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte("/a/1"), ModRevision: 1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			watched := &endingWatcher{last: last}
			var created atomic.Int32
			withBroken(t, func(c *clientv3.Client) { c.Watcher = counting{watched, &created} }, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
				lines := logtest.Record(t)
				f := h.Open("/a/")
				defer f.Close()
				time.Sleep(10 * time.Minute)
				assert.Less(t, int(created.Load())+e.Requests("Range"), 500, "in ten minutes")
				assert.Less(t, len(lines.Take()), 150)
			})
		})
	}
}

type counting struct {
	clientv3.Watcher
	n *atomic.Int32
}

func (c counting) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	c.n.Add(1)
	return c.Watcher.Watch(ctx, key, opts...)
}

// endless lists one key, and more to come.
type endless struct {
	clientv3.KV
	key string
	n   atomic.Int32
}

func (l *endless) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	l.n.Add(1)
	return &clientv3.GetResponse{
		Header: &etcdserverpb.ResponseHeader{Revision: 7}, More: true, Kvs: []*mvccpb.KeyValue{{Key: []byte(l.key), ModRevision: 7}},
	}, nil
}

func TestListingsThatNeverEndDo(t *testing.T) {
	for _, key := range []string{"/a/1", "/b/1"} {
		l := &endless{key: key}
		withBroken(t, func(c *clientv3.Client) { c.KV = l }, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
			f := h.Open("/a/")
			defer f.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			require.ErrorContains(t, f.Ready(ctx), "other keys than it was asked for")
			assert.Less(t, l.n.Load(), int32(600), "in ten minutes")
		})
	}
}

// heavy answers no page of more than a few keys.
type heavy struct {
	clientv3.KV
	most int
}

func (h heavy) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	page, err := h.KV.Get(ctx, key, opts...)
	if err == nil && len(page.Kvs) > h.most {
		return nil, status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
	}
	return page, err
}

func TestPagesThatAreTooLargeAreAskedForInParts(t *testing.T) {
	withBroken(t, func(c *clientv3.Client) { c.KV = heavy{c.KV, 3} }, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		for i := range 20 {
			e.Put(fmt.Sprintf("/a/%02d", i), "")
		}
		r := open(h, "/a/")
		defer r.Close()
		require.NoError(t, r.Ready(t.Context()))
		assert.Equal(t, e.Keys("/a/"), r.now())
	})
}

func TestMoreThanTheLimitIsLeftOut(t *testing.T) {
	for name, limit := range map[string]Config{"Keys": {MaxKeys: 10}, "Bytes": {MaxBytes: 10 * int64(len("/a/00")+len("value"))}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := logtest.Record(t)
				e := etcdfake.New()
				limit.Dial, limit.Timeout, limit.PageSize = e.Dial(t), time.Second, 4
				h := NewHub(limit)
				defer h.Close()
				for i := range 9 {
					e.Put(fmt.Sprintf("/a/%02d", i), "value")
				}
				r := open(h, "/a/")
				defer r.Close()
				assert.Len(t, r.now(), 9)
				for i := range 10 {
					e.Put(fmt.Sprintf("/a/%02d", 10+i), "value")
				}
				assert.Len(t, r.now(), 10, "as they come")
				e.Put("/a/00", "other")
				assert.Equal(t, "other", r.now()["/a/00"], "what is there is followed")
				assert.Equal(t, 1, len(lines.Lines("is left out")))
				e.Requests("Range")
				h.Check()
				time.Sleep(time.Minute)
				assert.Zero(t, e.Requests("Range"), "it is the same store")

				for i := range 8 {
					e.Delete(fmt.Sprintf("/a/%02d", i))
				}
				time.Sleep(time.Minute)
				assert.Len(t, r.now(), 10, "what was left out is listed when there is room")
				e.Delete("/a/17", "/a/18")
				time.Sleep(time.Minute)
				assert.Equal(t, e.Keys("/a/"), r.now())
				assert.Len(t, r.now(), 9)

				for i := range 20 {
					e.Put(fmt.Sprintf("/b/%02d", i), "value")
				}
				e.Requests("Range")
				other := open(h, "/b/")
				defer other.Close()
				assert.Len(t, other.now(), 10, "in a listing")
				assert.Equal(t, 3, e.Requests("Range"), "no more is asked for")
			})
		})
	}
}
