// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Feed is where a Worker hears that something has changed: what a listener.Feed
// says of its methods holds.
type Feed interface {
	OnChange(f func())
	Context() context.Context
	Hold() (release func(), ok bool)
	Close()
}

// What a Worker does in the background.
const (
	update Due = 1 << iota
	cached
	again
	some
)

// Reader is what a Worker has done. Its functions are called one at a time, in
// a goroutine of the Worker's or in that of a caller, and inside a delivery: they may
// close anything. A panic is that of a listener.
type Reader struct {
	// Name says in the log what the listener is told of.
	Name string
	// Update takes in what has changed, and tells it.
	Update func()
	// Again tells everything once more. Nil: it cannot be.
	Again func()
	// Some tells once more what somebody has asked for. Nil: nobody does.
	Some func()
	// Cached tells what a cache has, if it has something, while there is nothing
	// else. Nil: there is none.
	Cached func() bool
	// Retry spaces the calls of Again while the listener lacks something.
	Retry retry.Policy
}

// Worker tells one listener, in the background, what becomes of a feed: one call
// at a time, and none after Close. Its methods may be called from any goroutine.
type Worker struct {
	feed   Feed
	reader Reader
	start  sync.Once
	runner *Runner

	delivered atomic.Bool // something, once
	attended  Attended    // the feed, if it wants to know; else nil
	progress  progress

	serial   Serial          // its calls guard what follows
	schedule backoff.BackOff // while the listener lacks something
	retry    *time.Timer     // likewise
}

// NewWorker returns a worker, to which the feed belongs from now on. It tells
// nothing by itself before Start.
func NewWorker(feed Feed, r Reader) *Worker {
	w := (&Worker{feed: feed, reader: r}).attend()
	w.runner = NewRunner(w.run)
	feed.OnChange(func() { w.runner.Add(update) })
	return w
}

// Start has the worker tell, in the background, until Close. If nothing has been
// told after patience, what the cache has is. Further calls do nothing.
func (w *Worker) Start(patience time.Duration) {
	w.start.Do(func() {
		release, ok := w.feed.Hold()
		if !ok {
			return
		}
		over := release
		if w.reader.Cached != nil && !w.delivered.Load() {
			impatient := time.AfterFunc(patience, func() { w.runner.Add(cached) })
			over = func() {
				impatient.Stop()
				release()
			}
		}
		w.runner.Start(over)
		context.AfterFunc(w.feed.Context(), w.runner.End)
	})
}

func (w *Worker) run(what Due) {
	switch what {
	case update:
		w.Update()
	case cached:
		w.Cached()
	case again:
		w.do("all of it", func() {
			if w.delivered.Load() && w.reader.Again != nil {
				w.reader.Again()
			}
		})
	case some:
		w.do("some of it", func() {
			if w.delivered.Load() && w.reader.Some != nil {
				w.reader.Some()
			}
		})
	}
}

// Update tells what has changed, before it returns.
func (w *Worker) Update() {
	w.do("a change", func() {
		defer w.delivered.Store(true) // should it panic, too
		w.runner.Drop(update)         // what has changed until now is told
		w.reader.Update()
		w.taken()
	})
}

// Cached tells what the cache has, unless something has been told already, before
// it returns. It reports whether it has told something.
func (w *Worker) Cached() (something bool) {
	w.do("what is cached", func() {
		if !w.delivered.Load() {
			something = w.reader.Cached()
			w.delivered.Store(something)
		}
	})
	return something
}

// Again has everything told once more, in the background, if something was told
// already.
func (w *Worker) Again() { w.runner.Add(again) }

// Some has what somebody has asked for told once more, in the background.
func (w *Worker) Some() { w.runner.Add(some) }

func (w *Worker) do(what string, f func()) {
	w.serial.Do(w.reader.Name, what, func() {
		defer w.progress.calling()()
		f()
	})
}

// Lacks notes whether the listener has not taken in all that it was told: then it
// is told everything again, later. Delivered and Lacks are for the functions of the
// Reader.
func (w *Worker) Lacks(something bool) {
	w.progress.lacking.Store(something)
	if w.retry != nil {
		w.retry.Stop()
	}
	if !something {
		w.schedule = nil
		return
	}
	if w.schedule == nil {
		w.schedule = w.reader.Retry.BackOff()
	}
	if next := w.schedule.NextBackOff(); next != backoff.Stop {
		w.retry = time.AfterFunc(next, w.Again)
	}
}

// Delivered reports whether there was something before the call that is under way.
func (w *Worker) Delivered() bool { return w.delivered.Load() }

// Closed reports whether Close was called: a Reader that tells several things
// leaves out the rest.
func (w *Worker) Closed() bool { return w.serial.Closed() }

// Close ends the worker and its feed: once it has returned nothing is told any
// more. It waits for a call that is under way, unless it is called from inside
// one, of this worker or another. It may be called more than once.
func (w *Worker) Close() {
	w.runner.End()
	w.feed.Close()
	w.serial.Close()
}

// Signal sends a value to a channel with room for one, unless it has one.
func Signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
