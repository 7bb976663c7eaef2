// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// history is what really happened in etcd, seen by a client of the test that
// nothing cuts off.
type history struct {
	client *clientv3.Client

	mu       sync.Mutex
	keys     map[string]fact // providers, by key
	revision int64
	absences map[string]int // how often a provider (by id, and by version) ceased to be there, since they were taken
	taken    map[string]int // the absences that were taken last
	lost     error          // why the history has a hole

	cancel context.CancelFunc
	done   chan struct{}
}

func newHistory(client *clientv3.Client) *history {
	h := &history{client: client, keys: map[string]fact{}, absences: map[string]int{}, revision: 1}
	h.follow()
	return h
}

func (h *history) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.done = cancel, make(chan struct{})
	go func() {
		defer close(h.done)
		for ctx.Err() == nil {
			h.watch(ctx)
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

func (h *history) watch(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	from := h.revision + 1
	h.mu.Unlock()
	for response := range h.client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(from)) {
		if response.CompactRevision != 0 {
			h.mu.Lock()
			h.lost = response.Err()
			h.mu.Unlock()
		}
		for events := response.Events; len(events) > 0; {
			n := 1 // one revision at a time: what is replaced in one transaction was never gone
			for n < len(events) && events[n].Kv.ModRevision == events[0].Kv.ModRevision {
				n++
			}
			h.apply(events[:n])
			events = events[n:]
		}
	}
}

func (h *history) apply(events []*clientv3.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := maps.Clone(h.keys)
	for _, e := range events {
		key := string(e.Kv.Key)
		if e.Type == clientv3.EventTypeDelete {
			delete(keys, key)
		} else if f, ok := parseKey(key, "providers"); ok {
			keys[key] = f
		}
	}
	h.replaceLocked(keys)
	h.revision = events[0].Kv.ModRevision
}

func (h *history) replaceLocked(keys map[string]fact) {
	before, after := names(h.keys), names(keys)
	for name := range before {
		if !after[name] {
			h.absences[name]++
		}
	}
	h.keys = keys
}

func names(keys map[string]fact) map[string]bool {
	all := map[string]bool{}
	for _, f := range keys {
		all[f.id()], all[f.version()] = true, true
	}
	return all
}

// stop is called before the store is taken away for good.
func (h *history) stop() {
	h.cancel()
	<-h.done
}

// moment is a state of the store, to go back to.
type moment struct {
	keys     map[string]fact
	revision int64
}

func (h *history) now() moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return moment{maps.Clone(h.keys), h.revision}
}

// resume goes on in a store that is as it was at a moment; what was not there
// then has ceased to be there.
func (h *history) resume(m moment) {
	h.mu.Lock()
	h.replaceLocked(maps.Clone(m.keys))
	h.revision = m.revision
	h.mu.Unlock()
	h.follow()
}

// sync returns when the history has all that happened until now.
func (h *history) sync(t testing.TB) {
	t.Helper()
	now := testkit.Revision(t, h.client)
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.lost != nil || h.revision >= now
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	require.NoError(t, h.lost)
	require.True(t, ok, "the test's own watch is at revision %d of %d", h.revision, now)
}

// takeAbsences returns the absences since the time before the last: whoever
// knows what etcd has may know it from before a lease ran out and its keys came
// back, and is told of both later.
func (h *history) takeAbsences() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	absences := maps.Clone(h.absences)
	for name, n := range h.taken {
		absences[name] += n
	}
	h.taken, h.absences = h.absences, map[string]int{}
	return absences
}
