// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// history is what happened under a prefix, from a moment on.
type history struct {
	t      testing.TB
	client *clientv3.Client
	begin  map[string]bool // the keys at that moment

	mu     sync.Mutex // guards all below
	events []*clientv3.Event
	seen   int64 // the revision up to which events are complete
	err    error
}

func record(t testing.TB, etcd *etcdtest.Server, prefix string) *history {
	t.Helper()
	h := &history{t: t, client: etcd.NewClient(nil), begin: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	now := testkit.List(t, h.client, prefix)
	for _, kv := range now.Kvs {
		h.begin[string(kv.Key)] = true
	}
	responses := h.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(now.Header.Revision+1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range responses {
			h.mu.Lock()
			h.events = append(h.events, r.Events...)
			h.seen = max(h.seen, r.Header.Revision)
			h.err = r.Err()
			h.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return h
}

// untilNow returns all events up to now.
func (h *history) untilNow(etcd *etcdtest.Server) []*clientv3.Event {
	h.t.Helper()
	now, err := etcd.Client().Get(h.t.Context(), "nothing")
	require.NoError(h.t, err)
	var events []*clientv3.Event
	eventually(h.t, func() string { return "the watch of the test fell behind" }, func() bool {
		require.NoError(h.t, h.client.RequestProgress(h.t.Context()))
		h.mu.Lock()
		defer h.mu.Unlock()
		require.NoError(h.t, h.err)
		events = h.events
		return h.seen >= now.Header.Revision
	})
	return events
}

// deletedAt returns the revision at which a key was deleted first, 0 if it was
// not.
func (h *history) deletedAt(etcd *etcdtest.Server, name string) int64 {
	h.t.Helper()
	for _, e := range h.untilNow(etcd) {
		if e.Type == clientv3.EventTypeDelete && string(e.Kv.Key) == name {
			return e.Kv.ModRevision
		}
	}
	return 0
}

// counts returns how many keys there were after each transaction.
func (h *history) counts(etcd *etcdtest.Server) []int {
	h.t.Helper()
	present := map[string]bool{}
	for name := range h.begin {
		present[name] = true
	}
	counts := []int{len(present)}
	events := h.untilNow(etcd)
	for i, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			delete(present, string(e.Kv.Key))
		} else {
			present[string(e.Kv.Key)] = true
		}
		if i == len(events)-1 || events[i+1].Kv.ModRevision != e.Kv.ModRevision {
			counts = append(counts, len(present))
		}
	}
	return counts
}
