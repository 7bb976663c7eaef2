// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// Status is a snapshot of a Hub.
type Status struct {
	Mirrors []MirrorStatus // by prefix
	Readers []ReaderStatus // by name
	// Relists is how often a mirror had to be read anew, by the reason, of Reasons.
	Relists map[string]uint64
	// OtherHistories is how often etcd was found to be another store than before, or
	// could not tell.
	OtherHistories uint64
}

// MirrorStatus is what a Hub knows of one prefix.
type MirrorStatus struct {
	Prefix   string
	KeysOnly bool  // it is without the values
	Listed   bool  // it has been read once
	Partial  bool  // there are more keys than Config.MaxKeys and MaxBytes allow
	Retained int   // keys that another store had and this one lacks, kept for a session
	Keys     int   // that included
	Bytes    int64 // of keys and values
	Revision int64 // of etcd, up to which it is known
	Readers  int   // feeds that are open

	LastChange time.Time // when it was changed here last; zero: never
	StaleSince time.Time // since when it is not followed; zero: it is
	Err        error     // why
}

// ReaderStatus is how one who reads a feed is doing.
type ReaderStatus struct {
	delivery.Status
	Prefixes []string
	Listed   bool // all of them have been read once
	Pending  int  // keys that have changed since it looked last
}

const (
	reasonCompacted    = "compacted"       // etcd has forgotten what happened since
	reasonOtherHistory = "another_history" // it is another store than before, or cannot tell
	reasonLimits       = "limits"          // what had been left out may have room now
)

// Reasons are all reasons to read a mirror anew.
var Reasons = []string{reasonCompacted, reasonOtherHistory, reasonLimits}

// tallies are the counts of Status.
type tallies struct {
	others atomic.Uint64

	mu      sync.Mutex // guards what follows
	relists map[string]uint64
}

func (c *tallies) otherHistory() { c.others.Add(1) }

func (c *tallies) relisted(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.relists == nil {
		c.relists = map[string]uint64{}
	}
	c.relists[reason]++
}

func (c *tallies) byReason() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.relists)
}

// reason says why keys are listed again.
func (r relist) reason() string {
	if r.otherStore {
		return reasonOtherHistory
	}
	return reasonCompacted
}

// times are when what happened to a store. store.mu guards them.
type times struct {
	change time.Time
	stale  time.Time // zero: it is followed
}

// changed notes that etcd has told of a change, or been listed.
func (t *times) changed() { t.change, t.stale = time.Now(), time.Time{} }

// failed notes that the store is not followed, or, with nil, that it is.
func (t *times) failed(err error) {
	switch {
	case err == nil:
		t.stale = time.Time{}
	case t.stale.IsZero():
		t.stale = time.Now()
	}
}

// reading is what is known of the reader of a feed.
type reading struct {
	arrived time.Time // of what it took last, if that came over a watch; for the reader
	status  atomic.Pointer[func() delivery.Status]
}

// arrivedLocked notes for each reader that changes have come over a watch, before
// they are told.
func (s *store) arrivedLocked() {
	now := s.times.change
	for v := range s.views {
		if v.changed() == 0 {
			v.arrived = now
		}
	}
}

// take notes since when what is taken has been there, under store.mu.
func (r *reading) take(v *view) {
	if !v.arrived.IsZero() && (r.arrived.IsZero() || v.arrived.Before(r.arrived)) {
		r.arrived = v.arrived
	}
	v.arrived = time.Time{}
}

// Attend has Hub.Status show how the reader of the feed is doing, which tells that
// with status. It is for who reads the feed, before anybody else can.
func (f *Feed) Attend(status func() delivery.Status) { f.reading.status.Store(&status) }

// Told is called by who reads the feed, when what it took has been told.
func (f *Feed) Told() {
	arrived := f.reading.arrived
	f.reading.arrived = time.Time{}
	if !arrived.IsZero() && f.hub.cfg.Lag != nil {
		f.hub.cfg.Lag(time.Since(arrived))
	}
}

// Status returns a snapshot. It costs in proportion to the mirrors and their
// readers, and waits for nothing but memory.
func (h *Hub) Status() Status {
	s := Status{Relists: h.counts.byReason(), OtherHistories: h.counts.others.Load()}
	h.mu.Lock()
	mirrors := slices.Collect(maps.Values(h.mirrors))
	h.mu.Unlock()
	readers := map[*Feed]*ReaderStatus{}
	for _, m := range mirrors {
		s.Mirrors = append(s.Mirrors, m.status(readers))
	}
	for f, r := range readers {
		s.Readers = append(s.Readers, f.status(*r))
	}
	slices.SortFunc(s.Mirrors, func(a, b MirrorStatus) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), compareBools(a.KeysOnly, b.KeysOnly))
	})
	slices.SortFunc(s.Readers, func(a, b ReaderStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Prefixes, b.Prefixes))
	})
	return s
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// status returns that of the store, and notes what each of its readers has to take.
func (s *store) status(readers map[*Feed]*ReaderStatus) MirrorStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.views {
		r := readers[v.feed]
		if r == nil {
			r = &ReaderStatus{}
			readers[v.feed] = r
		}
		r.Prefixes = append(r.Prefixes, s.prefix)
		r.Pending += v.changed()
	}
	return MirrorStatus{
		Prefix: s.prefix, KeysOnly: s.keysOnly, Listed: s.shown > 0, Partial: s.part, Retained: len(s.retained),
		Keys: len(s.keys), Bytes: s.bytes, Revision: s.rev, Readers: len(s.views),
		LastChange: s.times.change, StaleSince: s.times.stale, Err: s.err,
	}
}

// status completes what the stores say of a reader: the feed's own list of them may
// still be made.
func (f *Feed) status(r ReaderStatus) ReaderStatus {
	slices.Sort(r.Prefixes)
	r.Listed = f.unlisted.Load() == 0
	if status := f.reading.status.Load(); status != nil {
		r.Status = (*status)()
	}
	r.Name = cmp.Or(r.Name, strings.Join(r.Prefixes, " and "))
	return r
}
