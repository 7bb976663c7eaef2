// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// settling is how long keys are collected before they are watched: a process that
	// starts has other things to ask of etcd first.
	settling = 500 * time.Millisecond
	// lasting is how long a stream of watches has to last to have been one.
	lasting = 10 * time.Second
)

// WatchStream is one of etcd's streams of watches
// (https://etcd.io/docs/v3.6/learning/api/#watch-streams).
type WatchStream interface {
	Send(*etcdserverpb.WatchRequest) error
	Recv() (*etcdserverpb.WatchResponse, error)
}

// watches tell of keys of this process that others change. Each key has a watch of its
// own, of deletions only where nobody else writes, and all are on one stream: a key that
// is left alone costs this process a few bytes and etcd 1.3 KiB. etcd's client has two
// goroutines and 9 KiB for each watch, and when a stream breaks it has one created after
// another, what consumers follow among them.
//
// What follows a writing is heard of. After a stream broke it is what follows from
// then on; what was deleted meanwhile has to be looked for.
type watches struct {
	open    func(context.Context) (WatchStream, error) // it ends with the context; nil: there is none
	changed func(name string, revision int64, now Content)
	resumed func() // is called after a stream that broke
	backoff func() backoff.BackOff

	start   sync.Once
	running sync.WaitGroup
	moved   chan struct{} // something is in dirty

	mu     sync.Mutex          // guards what follows
	wanted map[string]subject  // by name
	dirty  map[string]struct{} // names that were added or removed
	heard  map[string]hearing  // names of which deletions are heard
}

// subject is a key that is watched, or is to be.
type subject struct {
	written int64 // the revision of the last writing
	puts    bool  // others write it as well
}

// hearing is from which revision on deletions of a key are heard of; surely are those
// since it was known to be there.
type hearing struct {
	since  int64
	surely bool
}

func newWatches(r *Reconciler) *watches {
	w := &watches{
		changed: r.noteChange, resumed: r.Resync, backoff: r.backoff,
		moved:  make(chan struct{}, 1),
		wanted: map[string]subject{}, dirty: map[string]struct{}{}, heard: map[string]hearing{},
	}
	if r.cfg.OpenWatches != nil {
		w.open = func(ctx context.Context) (WatchStream, error) {
			client, err := r.cfg.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return r.cfg.OpenWatches(ctx, client)
		}
	}
	return w
}

// add watches a key that was there at a revision, until remove; whether it hears of puts
// is up to the first time. The goroutine that does it ends with ctx, which is the same
// each time.
func (w *watches) add(ctx context.Context, name string, revision int64, puts bool) {
	if w.open == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.wanted[name]
	w.wanted[name] = subject{revision, known && before.puts || !known && puts}
	if known {
		if h, watched := w.heard[name]; watched {
			w.heard[name] = hearing{h.since, h.surely || revision >= h.since-1}
		}
		return
	}
	w.start.Do(func() { w.running.Go(func() { w.run(ctx) }) })
	w.dirty[name] = struct{}{}
	delivery.Signal(w.moved)
}

func (w *watches) remove(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.wanted[name]; known {
		delete(w.wanted, name)
		w.dirty[name] = struct{}{}
		delivery.Signal(w.moved)
	}
}

// covers reports whether each deletion is heard of since the key was there.
func (w *watches) covers(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, wanted := w.wanted[name]
	return wanted && w.heard[name].surely
}

// doubt notes that it is not known any more which keys are there.
func (w *watches) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, h := range w.heard {
		w.heard[name] = hearing{since: h.since}
	}
}

// wait returns when the goroutine has ended.
func (w *watches) wait() {
	w.start.Do(func() {})
	w.running.Wait()
}

// run opens one stream after another until ctx ends.
func (w *watches) run(ctx context.Context) {
	schedule := w.backoff()
	wait := settling
	for again := false; retry.Sleep(ctx, wait); again = true {
		opened := time.Now()
		w.serve(ctx, again)
		if time.Since(opened) > lasting {
			schedule = w.backoff()
		}
		wait = schedule.NextBackOff()
	}
}

// serve opens a stream and watches on it until it breaks.
func (w *watches) serve(ctx context.Context, again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.open(ctx)
	if err != nil {
		return // it is tried again, and the keys are looked for meanwhile
	}
	responses := make(chan *etcdserverpb.WatchResponse)
	var receiving sync.WaitGroup
	receiving.Go(func() {
		defer close(responses)
		receive(ctx, stream, responses)
	})
	defer receiving.Wait()
	defer cancel()
	s := watching{watches: w, stream: stream, asked: map[string]bool{}, names: map[int64]string{}, ids: map[string]int64{}}
	s.begin(again)
	defer s.end()
	var due <-chan time.Time
	for ok := s.send(); ok; ok = s.send() {
		select {
		case <-w.moved:
			if due == nil {
				due = time.After(settling)
			}
		case <-due:
			due = nil
			s.change()
		case response, more := <-responses:
			if !more || !s.take(response) {
				return
			}
		}
	}
}

func receive(ctx context.Context, stream WatchStream, to chan<- *etcdserverpb.WatchResponse) {
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		select {
		case to <- response:
		case <-ctx.Done():
			return
		}
	}
}
