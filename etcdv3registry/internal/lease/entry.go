// SPDX-License-Identifier: Apache-2.0

package lease

// entry is one key: what is wanted, and what etcd is known to have.
// It is guarded by Keeper.mu.
type entry struct {
	key     Key
	owners  int  // wanted while more than zero
	sent    bool // a put was sent and no delete confirmed since: etcd may have it
	have    bool // etcd confirmed the put of this value, under the present lease (or, persistent, without one)
	put     bool // etcd confirmed a put, of whatever value, and no delete since; that has not gone with its lease
	queued  bool
	refused bool // by etcd, for good, when it was written last

	// partner is written in the same transaction: the key that this one
	// replaces, or is replaced by.
	partner *entry

	waiters []chan error // each gets one value, when the entry is settled or refused
}

// settled reports whether etcd agrees with what is wanted.
func (e *entry) settled() bool {
	if e.owners > 0 {
		return e.have
	}
	return !e.sent
}

// pair has two entries written in one transaction.
func pair(removed, added *entry) {
	if removed != nil && removed != added {
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

func (k *Keeper) wantLocked(key Key) *entry {
	e := k.entries[key.Name]
	if e == nil {
		e = &entry{key: key}
		k.entries[key.Name] = e
	}
	if e.key != key {
		e.have = false
	}
	e.key = key
	e.owners++
	return e
}

// unwantLocked returns nil for a key that nobody wanted.
func (k *Keeper) unwantLocked(name string) *entry {
	e := k.entries[name]
	if e == nil || e.owners == 0 {
		return nil
	}
	e.owners--
	k.forgetLocked(e)
	return e
}

// forgetLocked drops an entry of which nothing is left to do. It may still be in
// the queue, with another entry of the same key behind it.
func (k *Keeper) forgetLocked(e *entry) {
	if e.owners == 0 && !e.sent && len(e.waiters) == 0 && k.entries[e.key.Name] == e {
		delete(k.entries, e.key.Name)
	}
}

func (k *Keeper) enqueueLocked(e *entry) {
	if e == nil || e.queued || e.settled() {
		return
	}
	e.queued = true
	k.queue = append(k.queue, e)
}

// enqueueUnsettledLocked queues whatever differs from etcd and says how many
// keys that are.
func (k *Keeper) enqueueUnsettledLocked() int {
	for _, e := range k.entries {
		k.enqueueLocked(e)
	}
	return len(k.queue)
}
