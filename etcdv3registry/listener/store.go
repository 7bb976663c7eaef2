// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// store is a set of keys as of one revision, and the feeds that hear of its
// changes. Only its mirror writes to it.
type store struct {
	prefix string // those of all spans, to name it

	mu    sync.Mutex // guards what follows
	keys  map[string]value
	spans []span
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

// span is the keys with one prefix, and how far they have been followed. Each
// is watched by itself: they are listed together, and then go on one by one.
type span struct {
	prefix string
	rev    int64      // up to which everything has been applied
	last   lastChange // the last change; of a listing, the newest there
}

func newStore(prefixes []string) *store {
	spans := make([]span, len(prefixes))
	for i, prefix := range prefixes {
		spans[i].prefix = prefix
	}
	return &store{prefix: strings.Join(prefixes, " and "), spans: spans, stale: true, keys: map[string]value{}, moved: make(chan struct{}), feeds: map[*Feed]struct{}{}, warned: map[string]struct{}{}}
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
			keys[key] = value{bytes: v.bytes, decoded: v.decoded} // older than whatever is in the new store
			continue
		}
		changed = append(changed, keyAt{key, s.spanOf(key).rev})
		delete(s.warned, key)
	}
	for key, v := range keys {
		if _, ok := left[key]; ok {
			continue
		}
		// Two stores may have changed the same key in the same revision, each in its way.
		if old, ok := s.keys[key]; !ok || old.changed != v.changed || old.created != v.created || !bytes.Equal(old.bytes, v.bytes) {
			changed = append(changed, keyAt{key, v.changed})
		}
	}
	s.keys, s.left, s.stale, s.err = keys, left, false, nil
	s.shown = s.begun
	for i := range s.spans {
		s.spans[i].rev, s.spans[i].last = revision, lastChange{}
	}
	for key, v := range keys {
		if span := s.spanOf(key); v.changed > span.last.at {
			span.last = lastChange{keyAt: keyAt{key, v.changed}}
		}
	}
	if !s.full {
		s.full = true
		s.signalAll() // the listing is news even if it is empty
	}
	s.tell(changed)
	s.move()
}

// spanOf returns the span that a key is in.
func (s *store) spanOf(key string) *span {
	return &s.spans[max(0, slices.IndexFunc(s.spans, func(sp span) bool { return strings.HasPrefix(key, sp.prefix) }))]
}

// apply takes in what happened in one span.
func (s *store) apply(i int, events []*clientv3.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	span := &s.spans[i]
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
		// The header of a response may be ahead of what has been sent: the last event counts.
		span.rev = e.Kv.ModRevision
		span.last = lastChange{keyAt{key, e.Kv.ModRevision}, e.Type == clientv3.EventTypeDelete}
	}
	s.err = nil
	s.tell(changed)
	s.move()
}

// advance notes that nothing happened in a span until the revision.
func (s *store) advance(i int, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans[i].rev = max(s.spans[i].rev, revision)
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
		changed = append(changed, keyAt{key, s.spanOf(key).rev})
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

// revision is the highest up to which a span has been followed.
func (s *store) revision() int64 {
	rev := int64(0)
	for _, span := range s.followed() {
		rev = max(rev, span.rev)
	}
	return rev
}

// followed returns the spans as they are now.
func (s *store) followed() []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
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

// known returns what a store that is the same must have had; nothing before the
// first listing.
func (s *store) known() []known {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []known
	for _, span := range s.spans {
		if span.rev == 0 {
			continue
		}
		k := known{prefix: span.prefix, revision: span.rev, last: span.last, begun: s.begun}
		for key := range s.keys {
			if _, left := s.left[key]; !left && strings.HasPrefix(key, span.prefix) {
				k.count++
			}
		}
		all = append(all, k)
	}
	return all
}

// listedSince reports whether the store shows a listing that was begun later.
func (s *store) listedSince(k known) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown > k.begun
}
