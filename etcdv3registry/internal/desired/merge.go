// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// Merge is what this process desires of a key that other processes write as
// well: to put its own value there would have them overwrite each other for
// ever. Two that are equal (==) desire the same.
type Merge interface {
	// Part tells apart what may be desired of one key at the same time; what has
	// the same part replaces what was desired before.
	Part() string
	// Apply returns what the key is to hold, if it holds now. first is set until
	// etcd has taken it once. Where the key is to be gone, that is desired until it
	// is, and not kept up.
	Apply(now Content, first bool) Content
}

// Content is what a key holds, or is to hold.
type Content struct {
	Value  string
	Exists bool
}

// ErrConflict is what becomes of a merged key that others have changed, again and
// again, between a reading and a writing. It is tried again all the same.
var ErrConflict = errors.New("others were quicker each time")

const (
	// conflicts in a row, before those who wait are told.
	conflicts = 10
	// conflictSpread, times the number of conflicts so far, is the time over which
	// those who contend spread their next attempts.
	conflictSpread = 20 * time.Millisecond
)

// merging is a merged key that is being written, and all that is desired of it: a
// transaction has each key once.
type merging struct {
	name   string
	pieces []piece

	read      bool    // it is known what it holds:
	now       Content // and
	revision  int64   // of its last change; 0: it does not exist
	conflicts int
}

// hoped reports whether a first attempt takes for granted that the key does not
// exist, and so needs nothing else in the common cases: a new application writes,
// a restarted one is shown in the other branch that it need not. What was there
// once is read first: all processes look again and again whether it still is, and
// what may write takes a place in etcd's log even if it does not.
func (m *merging) hoped() bool {
	return !m.read && m.goal().Exists && !slices.ContainsFunc(m.pieces, func(p piece) bool { return !p.first })
}

// goal is what the key is to hold.
func (m *merging) goal() Content {
	goal := m.now
	for _, p := range m.pieces {
		goal = p.key.Merge.Apply(goal, p.first)
	}
	return goal
}

// size is how large it makes a transaction, about.
func (m *merging) size() int { return 3*len(m.name) + len(m.goal().Value) + 64 }

// nextMergesLocked takes merged entries off their queue, as many as one
// transaction holds, of which the limits hold for the conditions and for either
// branch, each by itself. It returns nil when nothing is queued.
func (r *Reconciler) nextMergesLocked() *batch {
	b := &batch{}
	batched := map[string]*merging{}
	for ; len(r.merges) > 0; r.merges = r.merges[1:] {
		e := r.merges[0]
		if e.inSync() { // or taken back before it was sent
			e.queued = false
			e.tellLocked(nil)
			r.forgetLocked(e)
			continue
		}
		m := batched[e.key.Name]
		if m == nil {
			m = r.writer.mergingOf(e.key.Name)
			m.pieces = nil
		}
		m.pieces = append(m.pieces, pieceOf(e))
		if batched[e.key.Name] == nil {
			if bytes := b.bytes + m.size(); len(b.merges) > 0 && (len(b.merges) >= r.cfg.Limits.Ops() || bytes > r.cfg.Limits.Bytes()) {
				break
			}
			batched[e.key.Name] = m
			b.merges = append(b.merges, m)
			b.bytes += m.size()
		}
		e.queued = false
		b.pieces = append(b.pieces, pieceOf(e))
	}
	if len(b.merges) == 0 {
		return nil
	}
	return b
}

// mergingOf returns what is known of a merged key that is not in sync.
func (w *writer) mergingOf(name string) *merging {
	m := w.merging[name]
	if m == nil {
		m = &merging{name: name}
		w.merging[name] = m
	}
	return m
}

// mergeOps returns what one transaction does: it writes what it is known, or
// hoped, what it holds, and reads the rest, or else reads all.
func (b *batch) mergeOps() (conditions []clientv3.Cmp, then, otherwise []clientv3.Op) {
	then, otherwise = make([]clientv3.Op, len(b.merges)), make([]clientv3.Op, len(b.merges))
	for i, m := range b.merges {
		otherwise[i] = clientv3.OpGet(m.name)
		goal := m.goal()
		switch {
		case !m.read && !m.hoped():
			then[i] = otherwise[i]
			continue
		case goal.Exists:
			then[i] = clientv3.OpPut(m.name, goal.Value)
		default:
			then[i] = clientv3.OpDelete(m.name)
		}
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(m.name), "=", m.revision))
	}
	if len(conditions) == 0 {
		otherwise = nil
	}
	return conditions, then, otherwise
}

// settleMerges takes in what a transaction did or read.
func (r *Reconciler) settleMerges(b *batch, response *clientv3.TxnResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = nil // as in settle
	r.mergeable = !r.writer.refusing
	for i, m := range b.merges {
		if read, ok := response.Responses[i].Response.(*etcdserverpb.ResponseOp_ResponseRange); ok {
			m.learn(read.ResponseRange)
			if m.goal() != m.now {
				r.parkLocked(m)
				continue // what is not parked is tried again at once
			}
		}
		delete(r.writer.merging, m.name)
		gone := !m.goal().Exists
		for _, p := range m.pieces {
			e := p.entry
			if e.key != p.key {
				continue // it was changed meanwhile
			}
			r.noteRestoredLocked(e, true)
			e.synced, e.exists, e.refused, e.seen = true, true, false, time.Now()
			r.watchLocked(e, !gone, response.Header.GetRevision())
			e.tellLocked(nil)
			if gone {
				e.owners = 0 // there is nothing to keep
			}
			r.forgetLocked(e)
		}
	}
}

// learn notes what the key holds.
func (m *merging) learn(found *etcdserverpb.RangeResponse) {
	var (
		now      Content
		revision int64
	)
	for _, kv := range found.Kvs {
		now, revision = Content{string(kv.Value), true}, kv.ModRevision
	}
	if m.read && revision != m.revision {
		m.conflicts++
	}
	m.read, m.now, m.revision = true, now, revision
}

// parkLocked has those who contend for a key not try again all at once, and tells
// those who wait when there were too many conflicts.
func (r *Reconciler) parkLocked(m *merging) {
	switch {
	case m.conflicts == 0:
		return
	case m.conflicts >= conflicts:
		r.refuseLocked(m.pieces, fmt.Errorf("write %s: %w", layout.Show(m.name), ErrConflict))
		return
	}
	if len(r.parked) == 0 {
		time.AfterFunc(rand.N(conflictSpread*time.Duration(m.conflicts)), r.unpark)
	}
	for _, p := range m.pieces {
		p.entry.parked = true
		r.parked = append(r.parked, p.entry)
	}
}

// unpark queues what was parked.
func (r *Reconciler) unpark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.parked {
		e.parked = false
		if r.enqueueLocked(e); !e.queued { // it is not wanted any more
			e.tellLocked(nil)
			r.forgetLocked(e)
		}
	}
	r.parked = nil
	r.signal(r.wake)
}
