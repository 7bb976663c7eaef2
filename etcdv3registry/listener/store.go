// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// mirrored is what a mirror is of.
type mirrored struct {
	prefix   string
	keysOnly bool // without the values
}

// store is the keys with one prefix as of one revision, and the readers that hear
// of its changes. Only its mirror writes to it.
type store struct {
	mirrored

	mu      sync.Mutex // guards what follows
	keys    map[string]entry
	bytes   int64         // of keys and values
	rev     int64         // up to which everything has been applied
	last    lastChange    // the last change; of a listing, the newest there
	part    bool          // there are more keys than it has, by the limits
	begun   int           // listings that were begun
	shown   int           // of those, the number of the one that the store shows; 0: none yet
	doubted bool          // the last one that was begun may be of another store, in part or all of it
	err     error         // why it is not being followed at the moment; nil: it is
	moved   chan struct{} // closed, and made anew, when any of these changes
	views   map[*view]struct{}
	// retained is what another store had and this one does not, and until when it is
	// kept, as its owners may only not have noticed yet.
	retained map[string]time.Time

	times   times               // when what happened
	warned  map[string]struct{} // keys that somebody has warned about
	skipped *skipped            // has a lock of its own
}

func newStore(what mirrored) *store {
	return &store{mirrored: what, keys: map[string]entry{}, moved: make(chan struct{}), views: map[*view]struct{}{}, warned: map[string]struct{}{}, skipped: &skipped{prefix: what.prefix}}
}

// open returns what a feed sees of the store.
func (s *store) open(f *Feed) *view {
	v := &view{store: s, feed: f, fresh: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views[v] = struct{}{}
	if s.shown == 0 {
		f.unlisted.Add(1)
	}
	return v
}

func (s *store) close(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.views, v)
}

// beginListing is called before the first request of a listing.
func (s *store) beginListing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	s.doubted = false
}

// replace makes the store equal to a listing: what differs is a change. If the
// listing is of another store than before (emptied, restored), what it lacks is
// left for a while; 0: it is the same store.
func (s *store) replace(keys map[string]entry, revision int64, leave time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	retained := map[string]time.Time{}
	var changed []keyAt
	for key, old := range s.keys {
		if _, ok := keys[key]; ok {
			continue
		}
		until, already := s.retained[key]
		if !already {
			until = time.Now().Add(leave)
		}
		if leave > 0 || already {
			retained[key] = until
			keys[key] = entry{content: old.content} // older than whatever is in the new store
			if !already {
				changed = append(changed, keyAt{key, 0})
			}
			continue
		}
		changed = append(changed, keyAt{key, s.rev})
		delete(s.warned, key)
	}
	s.rev, s.last = revision, lastChange{}
	s.bytes = 0
	for key, now := range keys {
		s.bytes += now.size(key)
		if now.changed > s.last.at {
			s.last = lastChange{keyAt: keyAt{key, now.changed}, entry: now}
		}
		if _, ok := retained[key]; ok {
			continue
		}
		if old, ok := s.keys[key]; !ok || !old.isLike(now) {
			changed = append(changed, keyAt{key, now.changed})
		}
	}
	first := s.shown == 0
	s.keys, s.retained, s.err = keys, retained, nil
	s.shown = s.begun
	s.times.changed()
	s.tell(changed)
	if first {
		for v := range s.views {
			v.feed.unlisted.Add(-1)
			v.feed.signal() // the listing is news even if it is empty
		}
	}
	s.move()
}

// apply takes in what happened, but for keys that exceed the limits; over reports
// whether there were any.
func (s *store) apply(events []*clientv3.Event, exceeded func(keys int, bytes int64) bool) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := make([]keyAt, 0, len(events))
	for _, e := range events {
		key, now := s.entryOf(e.Kv)
		deleted := e.Type == clientv3.EventTypeDelete
		delete(s.retained, key)
		s.last = lastChange{keyAt{key, now.changed}, deleted, now}
		if deleted {
			s.last.entry = s.keys[key]
		}
		s.removeLocked(key)
		switch size := now.size(key); {
		case deleted:
		case exceeded(len(s.keys)+1, s.bytes+size):
			over = true
		default:
			s.keys[key] = now
			s.bytes += size
		}
		changed = append(changed, keyAt{key, now.changed})
		// The header of a response may be ahead of what has been sent: the last event counts.
		s.rev = max(s.rev, now.changed)
	}
	s.err = nil
	s.times.changed()
	s.arrivedLocked()
	s.tell(changed)
	s.move()
	return over
}

// removeLocked forgets a key as it was.
func (s *store) removeLocked(key string) {
	if old, ok := s.keys[key]; ok {
		s.bytes -= old.size(key)
		delete(s.keys, key)
	}
	delete(s.warned, key)
}

// advance notes that nothing happened until the revision.
func (s *store) advance(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev = max(s.rev, revision)
}

// dropRetained drops what was left of another store, and has not come back for as long
// as it was to be left.
func (s *store) dropRetained() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	changed := make([]keyAt, 0, len(s.retained))
	for key, until := range s.retained {
		if !now.Before(until) {
			delete(s.retained, key)
			s.removeLocked(key)
			changed = append(changed, keyAt{key, s.rev})
		}
	}
	s.tell(changed)
}

// untilDropped returns a channel that has a value when there is something to drop; nil:
// there is nothing.
func (s *store) untilDropped() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first time.Time
	for _, until := range s.retained {
		if first.IsZero() || until.Before(first) {
			first = until
		}
	}
	if first.IsZero() {
		return nil
	}
	return time.After(time.Until(first))
}

// fail notes why the store is not being followed, or, with nil, that it is.
func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.times.failed(err)
	s.move()
}

// keyAt is a key and the revision of its last change, as far as it is known.
type keyAt struct {
	key string
	at  int64
}

func (s *store) tell(changed []keyAt) {
	if len(changed) == 0 {
		return
	}
	for v := range s.views {
		v.tell(changed)
		v.feed.signal()
	}
}

// move wakes those who wait for the store to be listed.
func (s *store) move() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// ready returns when the store has been listed once. It fails with the reason
// if that is one that cannot pass, or when ctx ends.
func (s *store) ready(ctx context.Context) error {
	for {
		s.mu.Lock()
		listed, err, moved := s.shown > 0, s.err, s.moved
		s.mu.Unlock()
		switch {
		case listed:
			return nil
		case err != nil && !retry.CanPass(err):
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("%w, the last attempt: %w", ctx.Err(), err)
			}
			return retry.Ended(ctx)
		}
	}
}

// refused reports whether the store is not followed for a reason that cannot pass.
func (s *store) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil && !retry.CanPass(s.err)
}

// warnOnce reports true the first time it is asked about a key that exists.
func (s *store) warnOnce(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, exists := s.keys[key]
	_, warned := s.warned[key]
	if exists {
		s.warned[key] = struct{}{}
	}
	return exists && !warned
}

// revision is the one up to which the store has been followed; 0 before the first
// listing.
func (s *store) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev
}
