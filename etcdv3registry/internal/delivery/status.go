// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync/atomic"
	"time"
)

// Status is how a Worker is doing.
type Status struct {
	Name    string    // of what the listener is told
	Told    time.Time // when a call has returned last; zero: none has
	Telling time.Time // since when the call that is under way is; zero: none is
	Lacking bool      // the listener has not taken in all, and is told again
}

// Attended is a Feed that wants to know how its reader is doing.
type Attended interface {
	// Attend is called once, with what tells it from then on.
	Attend(status func() Status)
	// Told is called when the reader has taken in, and told, what there was.
	Told()
}

// progress is what a Status is made of. It is read while calls are under way, and
// so is no part of what they guard.
type progress struct {
	told, telling atomic.Int64 // as time.Time.UnixNano; 0: see Status
	lacking       atomic.Bool
}

// calling notes that a call is under way, until done.
func (p *progress) calling() (done func()) {
	p.telling.Store(time.Now().UnixNano())
	return func() {
		p.told.Store(time.Now().UnixNano())
		p.telling.Store(0)
	}
}

// Status returns how the worker is doing. It waits for nothing.
func (w *Worker) Status() Status {
	return Status{
		Name: w.reader.Name, Lacking: w.progress.lacking.Load(),
		Told: at(w.progress.told.Load()), Telling: at(w.progress.telling.Load()),
	}
}

func at(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// attend has the feed know of the worker, if it wants to.
func (w *Worker) attend() *Worker {
	if feed, ok := w.feed.(Attended); ok {
		feed.Attend(w.Status)
		w.attended = feed
	}
	return w
}

// taken tells the feed that all that there was has been told.
func (w *Worker) taken() {
	if w.attended != nil {
		w.attended.Told()
	}
}
