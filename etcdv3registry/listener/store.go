// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// store is a set of keys as of one revision, and the feeds that hear of its
// changes. Only its mirror writes to it.
type store struct {
	prefix string

	mu    sync.Mutex // guards what follows
	keys  map[string]value
	rev   int64         // up to which everything has been applied
	last  lastChange    // the last change; of a listing, the newest there
	stale bool          // it has to be listed, for the first time or again
	full  bool          // it has been listed once
	begun int           // listings that were begun
	shown int           // of those, the number of the one that the store shows
	err   error         // why it is not being followed at the moment; nil: it is
	moved chan struct{} // closed, and made anew, when any of these changes
	feeds map[*Feed]struct{}
	// left is what another store had and this one does not: kept for a while, as
	// its owners may only not have noticed yet.
	left map[string]struct{}

	warned map[string]struct{} // keys that somebody has warned about
}

func newStore(prefix string) *store {
	return &store{prefix: prefix, stale: true, keys: map[string]value{}, moved: make(chan struct{}), feeds: map[*Feed]struct{}{}, warned: map[string]struct{}{}}
}

func (s *store) open() *Feed {
	f := &Feed{store: s, changed: make(chan struct{}, 1), pending: map[string]int64{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, v := range s.keys {
		f.pending[key] = v.changed
	}
	s.feeds[f] = struct{}{}
	if s.full {
		f.signal()
	}
	return f
}

// beginListing is called before the first request of a listing.
func (s *store) beginListing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
}

// replace makes the store equal to a listing: what differs is a change. If the
// listing is of another store than before (emptied, restored), what it lacks is
// left until dropLeft.
func (s *store) replace(keys map[string]value, revision int64, another bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := map[string]struct{}{}
	var changed []keyAt
	for key, v := range s.keys {
		if _, ok := keys[key]; ok {
			continue
		}
		if _, already := s.left[key]; another || already {
			left[key] = struct{}{}
			keys[key] = value{bytes: v.bytes} // older than whatever is in the new store
			continue
		}
		changed = append(changed, keyAt{key, s.rev})
		delete(s.warned, key)
	}
	for key, v := range keys {
		if _, ok := left[key]; ok {
			continue
		}
		if old, ok := s.keys[key]; !ok || old.changed != v.changed || old.created != v.created {
			changed = append(changed, keyAt{key, v.changed})
		}
	}
	s.keys, s.left, s.rev, s.stale, s.err = keys, left, revision, false, nil
	s.shown = s.begun
	s.last = lastChange{}
	for key, v := range keys {
		if v.changed > s.last.at {
			s.last = lastChange{keyAt: keyAt{key, v.changed}}
		}
	}
	if !s.full {
		s.full = true
		s.signalAll() // the listing is news even if it is empty
	}
	s.tell(changed)
	s.move()
}

func (s *store) apply(events []*clientv3.Event, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := make([]keyAt, 0, len(events))
	for _, e := range events {
		key := string(e.Kv.Key)
		delete(s.left, key)
		if e.Type == clientv3.EventTypeDelete {
			delete(s.keys, key)
			delete(s.warned, key)
		} else {
			s.keys[key] = valueOf(e.Kv)
		}
		changed = append(changed, keyAt{key, e.Kv.ModRevision})
		s.last = lastChange{keyAt{key, e.Kv.ModRevision}, e.Type == clientv3.EventTypeDelete}
	}
	s.rev, s.err = revision, nil
	s.tell(changed)
	s.move()
}

// advance notes that nothing happened until the revision.
func (s *store) advance(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev = max(s.rev, revision)
}

// hasLeft reports whether there is something for dropLeft to do.
func (s *store) hasLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left) > 0
}

// dropLeft drops what was left of another store and has not come back.
func (s *store) dropLeft() {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := make([]keyAt, 0, len(s.left))
	for key := range s.left {
		delete(s.keys, key)
		delete(s.warned, key)
		changed = append(changed, keyAt{key, s.rev})
	}
	s.left = nil
	s.tell(changed)
}

// fail notes why the store is not being followed, or, with nil, that it is.
func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
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
	for f := range s.feeds {
		for _, c := range changed {
			f.pending[c.key] = c.at
		}
		f.signal()
	}
}

func (s *store) signalAll() {
	for f := range s.feeds {
		f.signal()
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
		full, err, moved := s.full, s.err, s.moved
		s.mu.Unlock()
		switch {
		case full:
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
			return ctx.Err()
		}
	}
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

func (s *store) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev
}

func (s *store) isStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// setStale has the keys listed again before anything else is applied.
func (s *store) setStale() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = true
}

// lastChange is the change of a key that is known to be the newest.
type lastChange struct {
	keyAt
	deleted bool
}

// known returns what a store that is the same must have had.
func (s *store) known() known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return known{revision: s.rev, count: int64(len(s.keys) - len(s.left)), last: s.last, begun: s.begun}
}

// listedSince reports whether the store shows a listing that was begun later.
func (s *store) listedSince(k known) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown > k.begun
}
