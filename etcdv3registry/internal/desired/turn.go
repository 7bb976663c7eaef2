// SPDX-License-Identifier: Apache-2.0

package desired

// turn is held by whoever registers something in a slot: what becomes of it is his
// to hear, and to undo, before the next one comes.
type turn struct {
	held  chan struct{} // has a value while somebody has it
	users int           // who have it or wait for it, guarded by Registrations.mu
}

// take waits for the turn of a slot.
func (r *Registrations) take(slot string) (release func()) {
	r.mu.Lock()
	t := r.turns[slot]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		r.turns[slot] = t
	}
	t.users++
	r.mu.Unlock()
	t.held <- struct{}{}
	return func() {
		<-t.held
		r.mu.Lock()
		defer r.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(r.turns, slot)
		}
	}
}
