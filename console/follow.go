// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// The next view waits rest times longer than the last one took, but not for longer than
// longestRest.
const (
	rest        = 4
	longestRest = 2 * time.Second
)

func layoutOf(t target.Target) keys.Layout {
	return keys.Layout{Root: t.Root(), Services: t.Services(), Config: t.Config()}
}

// follower mirrors both levels and the configuration center, and tells views of them.
type follower struct {
	config
	hub    *listener.Hub
	layout keys.Layout
	now    func() time.Time
	tell   func(*view)

	dialing    sync.Mutex // guards what follows
	connection *clientv3.Client
	ended      bool

	mu      sync.Mutex // guards what follows
	store   world.Store
	seen    map[string]time.Time
	refused map[string]bool // prefixes
	changed chan struct{}   // receives when there is something new
}

func newFollower(c config, now func() time.Time, tell func(*view)) *follower {
	f := &follower{
		config: c, layout: layoutOf(c.Target), now: now, tell: tell,
		store: world.Store{Layout: layoutOf(c.Target)}, seen: map[string]time.Time{}, refused: map[string]bool{}, changed: make(chan struct{}, 1),
	}
	f.hub = listener.NewHub(listener.Config{Dial: f.client})
	return f
}

// run follows etcd until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer f.end()
	var running sync.WaitGroup
	for _, prefix := range f.layout.Prefixes() {
		running.Go(func() { f.mirror(ctx, prefix) })
	}
	v := &viewer{rows: map[*world.Entry]made{}}
	for {
		select {
		case <-ctx.Done():
			running.Wait()
			return
		case <-f.changed:
		}
		begin := time.Now()
		f.mu.Lock()
		w := f.store.World()
		v.seen = maps.Clone(f.seen)
		refused := slices.Sorted(maps.Keys(f.refused))
		f.mu.Unlock()
		f.tell(v.view(w, refused))
		select {
		case <-ctx.Done():
		case <-time.After(min(max(settle, rest*time.Since(begin)), longestRest)):
		}
	}
}

// client returns the connection, which is made with the first call.
func (f *follower) client(ctx context.Context) (*clientv3.Client, error) {
	f.dialing.Lock()
	defer f.dialing.Unlock()
	if f.ended {
		return nil, context.Canceled
	}
	if f.connection == nil {
		made, err := f.Dial(context.Background(), grpc.WithChainStreamInterceptor(f.hub.StreamInterceptor())) // it is closed in end
		if err != nil {
			return nil, err
		}
		f.connection = made
	}
	return f.connection, ctx.Err()
}

func (f *follower) end() {
	f.hub.Close()
	f.dialing.Lock()
	defer f.dialing.Unlock()
	if f.ended = true; f.connection != nil {
		_ = f.connection.Close()
	}
}

// look has the keys looked at.
func (f *follower) look(at func(*world.Store)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at(&f.store)
}

// mirror takes in what changes below a prefix.
func (f *follower) mirror(ctx context.Context, prefix string) {
	feed := f.hub.Open(prefix)
	defer feed.Close()
	for {
		asking, cancel := context.WithTimeout(ctx, answerTimeout)
		err := feed.Ready(asking)
		refused := err != nil && asking.Err() == nil
		cancel()
		f.setRefused(prefix, refused)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.askEvery):
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-feed.Changed():
			f.take(feed.Take())
		}
	}
}

func (f *follower) setRefused(prefix string, refused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused[prefix] == refused {
		return
	}
	if delete(f.refused, prefix); refused {
		f.refused[prefix] = true
	}
	f.signal()
}

func (f *follower) take(changes []listener.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store.Take(changes)
	for _, c := range changes {
		if c.Deleted {
			delete(f.seen, c.Key)
		} else if _, known := f.seen[c.Key]; !known {
			f.seen[c.Key] = f.now()
		}
	}
	f.signal()
}

func (f *follower) signal() {
	select {
	case f.changed <- struct{}{}:
	default: // it will look anyway
	}
}
