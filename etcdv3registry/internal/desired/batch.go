// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A batch is what goes into one transaction: entries and their parents; or else
// merged entries.
type batch struct {
	pieces []piece
	bytes  int

	missing []string // parents that may have to be created
	present []string // parents without which nothing is written: to require them costs etcd less
	leased  bool     // a put needs the lease

	merges []*merging
}

// piece is an entry, and what was desired of it when the batch was made: the entry
// belongs to Reconciler.mu.
type piece struct {
	entry  *entry
	key    Key
	wanted bool
	first  bool // etcd has not taken it before; of a merged one
}

func pieceOf(e *entry) piece { return piece{e, e.key, e.owners > 0, !e.exists} }

// isOldLocked reports whether something else is desired of the entry by now.
func (p piece) isOldLocked() bool {
	return p.entry.key != p.key || (p.entry.owners > 0) != p.wanted
}

// gather lets those run first who are about to change something, such as those whom the
// last batch has woken. Else the first of them has a transaction of its own, and all
// others wait for it.
func (r *Reconciler) gather() {
	for before := 0; ; runtime.Gosched() {
		r.mu.Lock()
		queued := len(r.queue)
		r.mu.Unlock()
		if queued == before || queued >= r.cfg.Limits.Ops() {
			return
		}
		before = queued
	}
}

// nextBatchLocked takes entries off the queue, in order, as many as one
// transaction holds; an entry and its partners stay together. What is merged is
// written first: metadata is there before the instances that have it. It returns
// nil when nothing is queued.
func (r *Reconciler) nextBatchLocked() *batch {
	if b := r.nextMergesLocked(); b != nil {
		return b
	}
	b := &batch{}
	for len(r.queue) > 0 {
		e := r.queue[0]
		if e.queued { // else it came along with its partner
			unit := e.unit()
			if len(b.pieces) > 0 && r.full(b, unit) {
				break
			}
			for _, u := range unit {
				u.queued = false
				if u.inSync() { // put and deleted again before it was sent, or the other way round
					u.tellLocked(nil)
					r.forgetLocked(u)
				} else if !slices.ContainsFunc(b.pieces, func(p piece) bool { return p.entry == u }) {
					r.addTo(b, u)
				}
			}
		}
		r.queue = r.queue[1:]
	}
	if len(b.pieces) > 0 {
		return b
	}
	for ; len(r.missing) > 0 && b.ops() < r.cfg.Limits.Ops(); r.missing = r.missing[1:] {
		if _, there := r.writer.parents[r.missing[0]]; !there {
			b.missing = append(b.missing, r.missing[0])
		}
	}
	if len(b.missing) > 0 {
		return b
	}
	return nil
}

// addTo adds an entry to a batch, under Reconciler.mu.
func (r *Reconciler) addTo(b *batch, e *entry) {
	b.pieces = append(b.pieces, pieceOf(e))
	b.bytes += e.size()
	if e.owners == 0 {
		return
	}
	e.mayExist = true
	b.leased = b.leased || !e.key.Persistent
	if parent := e.key.Parent; parent != "" {
		switch _, known := r.writer.parents[parent]; {
		case !known:
			b.missing = appendNew(b.missing, parent)
		case !r.watches.covers(parent): // else it is there
			b.present = appendNew(b.present, parent)
		}
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// puts returns what makes etcd agree with what is desired, and what must hold for
// that.
func (b *batch) puts(lease clientv3.LeaseID) (conditions []clientv3.Cmp, ops []clientv3.Op) {
	for _, p := range b.present {
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(p), ">", 0))
	}
	ops = make([]clientv3.Op, 0, b.ops())
	for _, p := range b.missing {
		ops = append(ops, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(p), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(p, "")}, nil))
	}
	for _, p := range b.pieces {
		switch key := p.key; {
		case !p.wanted:
			ops = append(ops, clientv3.OpDelete(key.Name))
		case key.Persistent:
			ops = append(ops, clientv3.OpPut(key.Name, key.Value))
		default:
			value := cmp.Or(key.Value, strconv.FormatInt(int64(lease), 10))
			ops = append(ops, clientv3.OpPut(key.Name, value, clientv3.WithLease(lease)))
		}
	}
	return conditions, ops
}

// unit is the entry with what has to be written in the same transaction: one
// key may have been replaced by a second and that by a third since the last
// batch.
func (e *entry) unit() []*entry {
	unit := []*entry{e}
	for p := e.partner; p != nil && !slices.Contains(unit, p); p = p.partner {
		unit = append(unit, p)
	}
	return unit
}

// full reports whether the unit does not fit into the batch any more. etcd
// counts conditions apart from operations, and there are no more of them.
func (r *Reconciler) full(b *batch, unit []*entry) bool {
	ops, bytes := b.ops(), b.bytes
	for _, e := range unit {
		ops++
		if _, known := r.writer.parents[e.key.Parent]; e.key.Parent != "" && !known {
			ops++
		}
		bytes += e.size()
	}
	return ops > r.cfg.Limits.Ops() || bytes > r.cfg.Limits.Bytes()
}

// ops is how many operations etcd counts: one for the level of the transactions
// that create parents.
func (b *batch) ops() int {
	if b.merges != nil {
		return len(b.merges)
	}
	return len(b.pieces) + len(b.missing) + 1
}

func (e *entry) size() int { return len(e.key.Name) + len(e.key.Value) + len(e.key.Parent) + 64 }

// alone returns batches of one key each, nil if it has one only.
func (r *Reconciler) alone(b *batch) (each []*batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(b.merges) > 1:
		for _, m := range b.merges {
			each = append(each, &batch{pieces: m.pieces, merges: []*merging{m}})
		}
	case b.merges == nil && len(b.pieces) > 1:
		for _, p := range b.pieces {
			one := &batch{}
			r.addTo(one, p.entry)
			each = append(each, one)
		}
	}
	return each
}
