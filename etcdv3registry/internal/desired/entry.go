// SPDX-License-Identifier: Apache-2.0

package desired

import "time"

// entry is one key: what is desired, and what etcd is known to have.
// It is guarded by Reconciler.mu.
type entry struct {
	key      Key
	owners   int  // desired while more than zero
	mayExist bool // a put was sent and no delete confirmed since; not of merged ones, which are not deleted
	synced   bool // etcd confirmed the put of this value, under the present lease (or, persistent, without one)
	exists   bool // etcd confirmed a put, of whatever value, and no delete since; that has not gone with its lease
	queued   bool
	parked   bool      // it is not queued for a moment, as others change it as well
	refused  bool      // by etcd, when it was written last
	why      error     // it was
	seen     time.Time // when it was synced last, of a merged one
	revision int64     // of the last put that etcd confirmed
	changed  int64     // revision of a change by others that was heard of before its put was confirmed; 0: none
	gone     bool      // others have deleted it, or put something else, and it was not put again yet
	losses   int       // such changes in a row
	lostAt   time.Time // the last one

	// partner is written in the same transaction: the key that this one
	// replaces, or is replaced by.
	partner *entry

	waiters []chan error // each gets one value, when the entry is in sync or refused
}

// inSync reports whether etcd agrees with what is desired.
func (e *entry) inSync() bool {
	switch {
	case e.owners > 0:
		return e.synced
	case e.key.Merge != nil:
		return true // what is in etcd belongs to others as well
	default:
		return !e.mayExist
	}
}

// pair has two entries written in one transaction.
func pair(removed, added *entry) {
	if removed != nil && removed != added && added.key.Merge == nil {
		removed.partner, added.partner = added, removed
	}
}

func (e *entry) waitLocked() chan error {
	w := make(chan error, 1)
	e.waiters = append(e.waiters, w)
	return w
}

func (e *entry) tellLocked(err error) {
	for _, w := range e.waiters {
		w <- err
	}
	e.waiters = nil
}

func (r *Reconciler) wantLocked(key Key) *entry {
	e := r.entries[key.id()]
	if e == nil {
		e = &entry{key: key}
		r.entries[key.id()] = e
	}
	if e.key != key {
		e.synced = false
		e.exists = e.exists && key.Merge == nil // of what is merged now nothing has been
	}
	if key.Merge != nil && time.Since(e.seen) >= key.Fresh {
		e.synced = false
	}
	e.key = key
	if e.owners++; e.owners == 1 && key.guarded() && key.Parent != "" {
		r.parents[key.Parent]++
	}
	return e
}

// unwantLocked returns nil for a key that nobody wanted. forgetLocked is to follow.
func (r *Reconciler) unwantLocked(key Key) *entry {
	e := r.entries[key.id()]
	if e == nil || e.owners == 0 {
		return nil
	}
	if e.owners--; e.owners == 0 && e.key.guarded() && e.key.Parent != "" {
		if r.parents[e.key.Parent]--; r.parents[e.key.Parent] == 0 {
			delete(r.parents, e.key.Parent)
		}
	}
	return e
}

// forgetLocked drops an entry of which nothing is left to do. It may still be in
// the queue, with another entry of the same key behind it.
func (r *Reconciler) forgetLocked(e *entry) {
	if e != nil && e.owners == 0 && e.inSync() && len(e.waiters) == 0 && r.entries[e.key.id()] == e {
		delete(r.entries, e.key.id())
		r.unwatchLocked(e.key)
	}
}

func (r *Reconciler) enqueueLocked(e *entry) {
	switch {
	case e.queued || e.parked || e.inSync():
		return
	case e.key.Merge != nil:
		r.merges = append(r.merges, e)
	default:
		r.queue = append(r.queue, e)
	}
	e.queued = true
}

// enqueueUnsyncedLocked queues whatever differs from etcd.
func (r *Reconciler) enqueueUnsyncedLocked() {
	for _, e := range r.entries {
		r.enqueueLocked(e)
	}
}

func (r *Reconciler) countLocked(which func(*entry) bool) (n int) {
	for _, e := range r.entries {
		if which(e) {
			n++
		}
	}
	return n
}
