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

	decoded *decoded
}

// Decode returns what decode makes of the value. It is called once for a value,
// whoever reads it, as long as the key is not changed: all readers of a prefix
// have to pass the same function, and must not change what it returns. It is not
// for a key that was deleted.
func (c Change) Decode(decode func(key string, value []byte) any) any {
	c.decoded.once.Do(func() { c.decoded.value = decode(c.Key, c.Value) })
	return c.decoded.value
}

// decoded is what the first reader made of a value.
type decoded struct {
	once  sync.Once
	value any
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
		changes = append(changes, Change{Key: key, Value: v.bytes, Created: v.created, Deleted: !ok, decoded: v.decoded})
	}
	f.store.mu.Unlock()

	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(pending[a.Key], pending[b.Key]), cmp.Compare(a.Key, b.Key))
	})
	return changes
}

// WarnOnce reports true the first time that any feed of the prefix asks about a
// key that exists: what cannot be read is to be logged once.
func (f *Feed) WarnOnce(key string) bool { return f.store.warnOnce(key) }

// Revision is that of the last change of the keys that etcd has told of; 0
// before the first listing. What Take returns is at least as new as what
// Revision returned before it.
func (f *Feed) Revision() int64 { return f.store.revision() }

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
