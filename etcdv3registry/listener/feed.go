// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// Change is a key that changed since the last Take, as it is now.
type Change struct {
	Key     string
	Value   []byte // not to be written to
	Created int64  // the revision in which the key was created; 0: it is gone, or left of another store
	Changed int64  // the revision in which it was put last, or was found to be gone
	Lease   int64  // that it is under; 0: none
	Deleted bool

	content *content
}

// Decode returns what decode makes of the value. It is called once for a value,
// whoever reads it, as long as the key is not changed: all readers of a prefix
// have to pass the same function, and must not change what it returns. It is not
// for a key that was deleted, nor for feeds of Hub.OpenKeys.
func (c Change) Decode(decode func(key string, value []byte) any) any {
	c.content.once.Do(func() { c.content.decoded = decode(c.Key, c.Value) })
	return c.content.decoded
}

// Feed is one reader's view of the keys under some prefixes. It is made by
// Hub.Open. Take is for one goroutine at a time.
type Feed struct {
	hub      *Hub
	views    []*view // one for each prefix
	once     sync.Once
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	changed  chan struct{}
	onChange atomic.Pointer[func()] // nil: nobody but who waits for changed
	unlisted atomic.Int32           // of the prefixes, those that etcd has not been read of yet
	reading  reading
}

// view is what a feed sees of one prefix. Its methods are called with store.mu held.
type view struct {
	store   *store
	feed    *Feed
	fresh   bool             // nothing was taken yet: all keys have changed; guarded by store.mu
	pending map[string]int64 // the keys that changed, and in which revision; likewise
	arrived time.Time        // when the first of them came over a watch; zero: none did; likewise
}

// Ready returns when etcd has been read once, whether it had keys or not. It
// fails when ctx ends, or at once if etcd refuses for good (no permission, wrong
// credentials); the feed goes on trying all the same.
func (f *Feed) Ready(ctx context.Context) error {
	for _, v := range f.views {
		if err := v.store.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// refused reports whether etcd answers, and that one of the prefixes may not be read.
func (f *Feed) refused() bool {
	return slices.ContainsFunc(f.views, func(v *view) bool { return v.store.refused() })
}

// Changed receives a value when there is something to Take, and once after
// the first listing, even if that was empty; of several prefixes, when all have
// been listed.
func (f *Feed) Changed() <-chan struct{} { return f.changed }

// OnChange has f called each time that Changed receives a value, and at once if it
// has one. f is called with locks held: it must not block, nor call the feed. It is
// called once.
func (f *Feed) OnChange(changed func()) {
	f.onChange.Store(&changed)
	if len(f.changed) > 0 {
		changed()
	}
}

// Take returns what changed since the last Take, in the order of the changes;
// the first one returns all keys there are. A key that came and went in between
// is returned as deleted.
func (f *Feed) Take() []Change {
	var changes []Change
	for _, v := range f.views {
		v.store.mu.Lock()
		changes = v.take(changes)
		f.reading.take(v)
		v.store.mu.Unlock()
	}
	return sorted(changes, func(a, b *Change) int {
		return cmp.Or(cmp.Compare(a.Changed, b.Changed), cmp.Compare(a.Key, b.Key))
	})
}

// sorted returns changes in an order. They are large, and are moved once only.
func sorted(changes []Change, order func(a, b *Change) int) []Change {
	at := make([]int32, len(changes))
	for i := range at {
		at[i] = int32(i)
	}
	compare := func(a, b int32) int { return order(&changes[a], &changes[b]) }
	if slices.IsSortedFunc(at, compare) {
		return changes
	}
	slices.SortFunc(at, compare)
	all := make([]Change, len(changes))
	for i, from := range at {
		all[i] = changes[from]
	}
	return all
}

// tell notes what has changed.
func (v *view) tell(changed []keyAt) {
	if v.fresh {
		return
	}
	if v.pending == nil {
		v.pending = make(map[string]int64, len(changed))
	}
	for _, c := range changed {
		v.pending[c.key] = c.at
	}
}

// take adds what has changed, in any order.
func (v *view) take(changes []Change) []Change {
	if v.fresh {
		v.fresh = false
		changes = slices.Grow(changes, len(v.store.keys))
		for key, e := range v.store.keys {
			changes = append(changes, e.change(key))
		}
		return changes
	}
	changes = slices.Grow(changes, len(v.pending))
	for key, revision := range v.pending {
		if e, ok := v.store.keys[key]; ok {
			changes = append(changes, e.change(key))
		} else {
			changes = append(changes, Change{Key: key, Changed: revision, Deleted: true})
		}
	}
	v.pending = nil
	return changes
}

// changed is how many keys have changed.
func (v *view) changed() int {
	if v.fresh {
		return len(v.store.keys)
	}
	return len(v.pending)
}

// Skip tells the log that a key, or a part of it, cannot be used, and why: once for the key as it
// is, whichever feed says so, and of all keys of a prefix not more than once a
// minute.
func (f *Feed) Skip(key string, why error) {
	for _, v := range f.views {
		if strings.HasPrefix(key, v.store.prefix) && v.store.warnOnce(key) {
			v.store.skipped.add(key, why)
		}
	}
}

// Revision is that of the last change of the keys that etcd has told of; 0
// before the first listing. What Take returns is at least as new as what
// Revision returned before it.
func (f *Feed) Revision() int64 {
	oldest := int64(math.MaxInt64)
	for _, v := range f.views {
		oldest = min(oldest, v.store.revision())
	}
	return oldest
}

// Context ends with Close, or with the Hub.
func (f *Feed) Context() context.Context { return f.ctx }

// Go runs read, which has to end with Context, in a goroutine that Hub.Close
// waits for. It does nothing when Context has ended.
func (f *Feed) Go(read func()) {
	if f.ctx.Err() == nil {
		f.hub.goUntilClose(read)
	}
}

// Hold has Hub.Close wait until release is called, which has to be once, and soon
// after Context has ended; ok is false if it has ended.
func (f *Feed) Hold() (release func(), ok bool) { return f.hub.hold(f.ctx) }

// name says in the log what the feed is about.
func (f *Feed) name() string {
	prefixes := make([]string, len(f.views))
	for i, v := range f.views {
		prefixes[i] = v.store.prefix
	}
	return strings.Join(prefixes, " and ")
}

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {
	f.once.Do(func() {
		for _, v := range f.views {
			v.store.close(v)
		}
		f.cancel()
		f.hub.release(f)
	})
}

// signal tells the reader that there is something, unless it is to wait for more.
func (f *Feed) signal() {
	if f.unlisted.Load() > 0 {
		return
	}
	delivery.Signal(f.changed)
	if changed := f.onChange.Load(); changed != nil {
		(*changed)()
	}
}
