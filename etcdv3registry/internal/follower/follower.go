// SPDX-License-Identifier: Apache-2.0

// Package follower tells one listener what becomes of one key: of a mapping, of
// a rule. What is told is a state, not an event: a key that changed several times
// while the listener was busy, or while etcd was away, is told once, as it is.
package follower

import (
	"context"
	"sync"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// State is what is known of a key.
type State struct {
	Value  string
	Exists bool
	Known  bool // etcd has been read; before that nothing is known
}

// Follower follows one key. Ready is for one goroutine, before Start; the other
// methods may be called from any.
type Follower struct {
	key    string
	feed   *listener.Feed
	worker *delivery.Worker
	pause  func(context.Context)
	tell   func(State)

	mu    sync.Mutex // guards what follows
	state State
}

// Open follows a key, in the watch of a prefix that several may share. It
// returns at once.
func Open(watches *listener.Hub, prefix, key string) *Follower {
	f := &Follower{key: key, feed: watches.Open(prefix)}
	f.worker = delivery.NewWorker(f.feed, delivery.Reader{Name: key, Update: f.update, Again: func() { f.tell(f.State()) }})
	return f
}

// Key is the key that is followed.
func (f *Follower) Key() string { return f.key }

// Skip is listener.Feed.Skip, of the key.
func (f *Follower) Skip(why error) { f.feed.Skip(f.key, why) }

// Ready returns when etcd has been read. Its errors are those of
// listener.Feed.Ready; the key is followed all the same.
func (f *Follower) Ready(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.feed.Context(), cancel)()
	if err := f.feed.Ready(ctx); err != nil {
		return err
	}
	f.take()
	return nil
}

// State returns what the listener has been told last, or is being told; before
// Start, what Ready has found.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Start calls tell when the state is another than State has returned so far, in
// one goroutine, until Close. Before it looks what the state is it calls pause,
// unless nil, which may wait, at most until its context ends. It is called once.
func (f *Follower) Start(pause func(context.Context), tell func(State)) {
	f.pause, f.tell = pause, tell
	f.worker.Start(0)
}

func (f *Follower) update() {
	if f.pause != nil {
		f.pause(f.feed.Context())
	}
	if state, changed := f.take(); changed && f.feed.Context().Err() == nil {
		f.tell(state)
	}
}

// Again calls tell once more with what it was called with last, in the background,
// if it was.
func (f *Follower) Again() { f.worker.Again() }

// take brings the state up to date.
func (f *Follower) take() (state State, changed bool) {
	changes := f.feed.Take()
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.state
	f.state.Known = true
	for _, c := range changes {
		if c.Key == f.key {
			f.state = State{Value: string(c.Value), Exists: !c.Deleted, Known: true}
		}
	}
	return f.state, f.state != before
}

// Close ends it: once it has returned the listener is not told anything any
// more. It waits for a call of the listener that is under way, unless it is
// called from inside a delivery, to this listener or another: waiting there might
// never end. It may be called more than once.
func (f *Follower) Close() { f.worker.Close() }
