// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Change is a key that changed since the last Take, as it is now.
type Change struct {
	Key     string
	Value   []byte // not to be written to
	Created int64  // the revision in which the key was created
	Deleted bool
}

// Feed is one reader's view of the keys under a prefix. It is made by
// Hub.Open. Take is for one goroutine at a time.
type Feed struct {
	store   *store
	release func()
	once    sync.Once
	changed chan struct{}
	pending map[string]int64 // the keys that changed, and in which revision, guarded by store.mu
}

// Ready returns when etcd has been read once, whether it had keys or not. It
// fails when ctx ends, or at once if etcd refuses for good (no permission, wrong
// credentials); the feed goes on trying all the same.
func (f *Feed) Ready(ctx context.Context) error { return f.store.ready(ctx) }

// Changed receives a value when there is something to Take, and once after
// the first listing, even if that was empty.
func (f *Feed) Changed() <-chan struct{} { return f.changed }

// Take returns what changed since the last Take, in the order of the changes;
// the first one returns all keys there are. A key that came and went in between
// is returned as deleted.
func (f *Feed) Take() []Change {
	f.store.mu.Lock()
	pending := f.pending
	f.pending = map[string]int64{}
	changes := make([]Change, 0, len(pending))
	for key := range pending {
		v, ok := f.store.keys[key]
		changes = append(changes, Change{Key: key, Value: v.bytes, Created: v.created, Deleted: !ok})
	}
	f.store.mu.Unlock()

	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(pending[a.Key], pending[b.Key]), cmp.Compare(a.Key, b.Key))
	})
	return changes
}

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {
	f.once.Do(func() {
		f.store.mu.Lock()
		delete(f.store.feeds, f)
		f.store.mu.Unlock()
		f.release()
	})
}

func (f *Feed) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}
