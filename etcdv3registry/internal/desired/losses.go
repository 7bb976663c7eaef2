// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"math/rand/v2"
	"time"
)

const (
	// collecting is how long it is waited for more, when somebody deletes a key: of a
	// lease that is revoked each of its keys is heard of by itself.
	collecting = 10 * time.Millisecond
	// pestering is how long a key has to be left alone, to be put again as soon as it
	// is deleted. Of one that somebody deletes again and again each time takes twice as
	// long, up to longestLoss.
	pestering   = time.Minute
	longestLoss = 5 * time.Second
	// adoption is the time over which processes spread the creation of a parent that
	// somebody has deleted: one of them suffices.
	adoption = time.Second
)

// watchLocked has a key watched that is desired, and was written at a revision. A
// deletion that was heard of already came before that, or after it.
func (r *Reconciler) watchLocked(e *entry, written bool, revision int64) {
	if !written {
		return
	}
	name := e.key.Name
	if e.synced && e.deleted > revision {
		e.synced, e.gone = false, true
	}
	e.revision, e.deleted = revision, 0
	if !e.key.guarded() {
		if r.sentinel != "" && r.sentinel != name {
			return
		}
		r.sentinel = name
	}
	r.watches.add(r.ctx, name, revision)
}

// unwatchLocked is for a key that is forgotten.
func (r *Reconciler) unwatchLocked(key Key) {
	r.watches.remove(key.Name)
	if r.parents[key.Parent] == 0 {
		r.watches.remove(key.Parent)
	}
	if r.sentinel == key.Name {
		r.sentinel = ""
	}
}

// noteDeletion has what somebody deleted put again.
func (r *Reconciler) noteDeletion(name string, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := r.entries[name]; {
	case r.closed:
		return
	case e == nil:
		r.orphaned[name] = revision
	case e.owners == 0 || !e.synced: // it was this process, or it is about to be put
		e.deleted = max(e.deleted, revision)
		return
	case revision <= e.revision: // it has been put again
		return
	default:
		e.synced, e.exists, e.gone = false, false, true
		r.loseLocked(e)
	}
	r.signal(r.losses)
}

// loseLocked has an entry that is gone put again: at once, if that does not happen
// all the time.
func (r *Reconciler) loseLocked(e *entry) {
	if time.Since(e.lostAt) > pestering {
		e.losses = 0
	}
	e.lostAt = time.Now()
	if e.losses++; e.losses == 1 {
		r.lost = append(r.lost, e)
		return
	}
	e.parked = true
	time.AfterFunc(min(collecting<<min(e.losses, 10), longestLoss), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.parked {
			e.parked = false
			r.lost = append(r.lost, e)
			r.signal(r.losses)
		}
	})
}

// queueLost queues what was deleted.
func (r *Reconciler) queueLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &r.writer
	for _, e := range r.lost {
		r.enqueueLocked(e)
	}
	r.lost = nil
	for name, revision := range r.orphaned {
		if there, is := w.parents[name]; is && there < revision {
			delete(w.parents, name)
			time.AfterFunc(rand.N(adoption), func() { r.adopt(name) })
		}
	}
	clear(r.orphaned)
}

// adopt has a parent created again, if something still needs it.
func (r *Reconciler) adopt(parent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parents[parent] > 0 && !r.closed {
		r.missing = append(r.missing, parent)
		r.signal(r.wake)
	}
}
