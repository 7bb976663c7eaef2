// SPDX-License-Identifier: Apache-2.0

package delivery

import "sync"

// Due is things that are to be done, one bit each.
type Due uint8

// Runner does in the background what is due: one thing at a time, each in its turn.
// There is a goroutine only while there is something to do, as those who wait for
// changes do little else. Its methods may be called from any goroutine, and with
// any lock held.
type Runner struct {
	do func(what Due)

	mu      sync.Mutex // guards what follows
	due     Due
	last    Due // that was done
	started bool
	running bool // there is a goroutine
	ended   bool
	over    func()
}

// NewRunner returns a Runner that calls do for each bit that is due.
func NewRunner(do func(what Due)) *Runner { return &Runner{do: do} }

// Add notes that something is due; what is due already is done once. After End
// nothing is.
func (r *Runner) Add(what Due) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due |= what
	r.goLocked()
}

// Drop notes that something is not due any more: somebody does it.
func (r *Runner) Drop(what Due) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due &^= what
}

// Start begins to do what is due. over is called once, when End has been called
// and nothing is being done any more. It is for one call.
func (r *Runner) Start(over func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started, r.over = true, over
	if r.ended {
		over()
		return
	}
	r.goLocked()
}

func (r *Runner) goLocked() {
	if r.due != 0 && r.started && !r.running && !r.ended {
		r.running = true
		go r.run()
	}
}

func (r *Runner) run() {
	for what := r.next(); what != 0; what = r.next() {
		r.do(what)
	}
}

// next is what is to be done now; 0: nothing, and the goroutine ends.
func (r *Runner) next() Due {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.due &^ (r.last | (r.last - 1))
	if after == 0 {
		after = r.due
	}
	what := after & -after
	switch {
	case r.ended:
		r.running = false
		r.over()
		return 0
	case what == 0:
		r.running = false
	}
	r.due, r.last = r.due&^what, what
	return what
}

// End has nothing done any more, after what is being done; it does not wait for
// that. It may be called more than once.
func (r *Runner) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && r.started && !r.running {
		defer r.over()
	}
	r.ended = true
}
