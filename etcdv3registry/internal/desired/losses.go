// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
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
	// leaseless is after how long without a lease a process is one that takes none.
	leaseless = 10 * time.Second
)

// watchLocked has a key watched that is desired, and was there as desired at a revision. A
// change that was heard of already came before that, or after it.
func (r *Reconciler) watchLocked(e *entry, there bool, revision int64) {
	if !there {
		return
	}
	name := e.key.Name
	if e.synced && e.changed > revision {
		e.synced, e.gone = false, true
	}
	e.revision, e.changed = revision, 0
	switch {
	case e.key.Merge != nil && !r.merged.watched:
		r.considerLocked()
		return
	case !e.key.guarded():
		if r.sentinel != "" && r.sentinel != name {
			return
		}
		r.sentinel = name
	}
	r.watches.add(r.ctx, name, revision, e.key.shared())
}

// considerLocked has it considered, in a while, whether what is merged is to be watched:
// each process would have a watch for each of its services else. Who has a lease looks as
// it is kept alive.
func (r *Reconciler) considerLocked() {
	if lease, _ := r.record.now(); lease.ID != clientv3.NoLease || r.merged.considering {
		return
	}
	r.merged.considering = true
	time.AfterFunc(leaseless, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.merged.considering = false
		if lease, _ := r.record.now(); lease.ID != clientv3.NoLease || r.closed {
			return
		}
		r.merged.watched = true
		for _, e := range r.entries {
			if e.key.Merge != nil && e.owners > 0 && e.synced {
				r.watches.add(r.ctx, e.key.Name, e.revision, true)
			}
		}
	})
}

// leased has merged keys not watched any more: from now on the lease is the occasion to
// look for them.
func (r *Reconciler) leased() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.merged.watched {
		return
	}
	r.merged.watched = false
	for _, e := range r.entries {
		if e.key.Merge != nil {
			r.watches.remove(e.key.Name)
		}
	}
}

// unwatchLocked is for a key that is forgotten.
func (r *Reconciler) unwatchLocked(key Key) {
	if key.Merge != nil && len(r.partsLocked(key.Name)) > 0 {
		return
	}
	r.watches.remove(key.Name)
	if r.parents[key.Parent] == 0 {
		r.watches.remove(key.Parent)
	}
	if r.sentinel == key.Name {
		r.sentinel = ""
	}
}

// noteChange has put again what others have deleted, or put as it is not desired.
func (r *Reconciler) noteChange(name string, revision int64, now Content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if e := r.entries[name]; e != nil {
		r.noteChangeLocked(e, revision, now)
	} else if parts := r.partsLocked(name); len(parts) > 0 {
		for _, e := range parts {
			r.noteChangeLocked(e, revision, now)
		}
	} else if !now.Exists {
		r.orphaned[name] = revision
		r.signal(r.losses)
	}
}

func (r *Reconciler) noteChangeLocked(e *entry, revision int64, now Content) {
	switch {
	case e.owners > 0 && e.holds(now, false): // it was this process, or others know
	case e.owners == 0 || !e.synced: // it was this process, or it is about to be put
		e.changed = max(e.changed, revision)
	case revision > e.revision: // else it has been put again
		e.synced, e.gone = false, true
		e.exists = now.Exists || e.key.Merge != nil // then others may have put it again
		r.loseLocked(e)
		r.signal(r.losses)
	}
}

// partsLocked returns all that is desired of a merged key that is watched.
func (r *Reconciler) partsLocked(name string) (parts []*entry) {
	if !r.merged.watched {
		return nil
	}
	for _, e := range r.entries {
		if e.key.Merge != nil && e.key.Name == name {
			parts = append(parts, e)
		}
	}
	return parts
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
