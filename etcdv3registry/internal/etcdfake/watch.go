// SPDX-License-Identifier: Apache-2.0

package etcdfake

import (
	"context"
	"math"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watches is a server's clientv3.Watcher. etcd's own has a channel that belongs
// to no test, and with it testing/synctest never sees that all wait. It resumes a
// watch of which the stream breaks by itself, so Break and Away are not seen here:
// a watch hears of what it has missed when the server is back.
type watches struct{ *Etcd }

var _ clientv3.Watcher = watches{}

// watch is one that the server has.
type watch struct {
	*stream[clientv3.WatchResponse]
	from, end []byte
	next      int64 // the revision that is sent next; guarded by Etcd.mu
	heard     int64 // the one after the last that the client has heard of: it resumes there; likewise
}

// Watch sends a notice of its creation, whether it is asked for or not.
func (e watches) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	op := clientv3.OpGet(key, opts...)
	w := &watch{stream: newStream[clientv3.WatchResponse](ctx), from: op.KeyBytes(), end: op.RangeBytes(), next: op.Rev()}
	to := make(chan clientv3.WatchResponse)
	if err := e.begin(ctx, "Watch", key); err != nil {
		w.fail(err)
	} else {
		e.create(w)
	}
	go w.run(to)
	return to
}

func (e watches) create(w *watch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.next == 0 {
		w.next = e.revision + 1
	}
	w.heard = w.next
	_ = w.send(clientv3.WatchResponse{Header: *e.headerLocked(), Created: true})
	e.watches[w] = struct{}{} // one that is compacted, too: as in etcd, until it is cancelled
	context.AfterFunc(w.ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watches, w)
	})
	if w.next <= e.compacted {
		_ = w.send(clientv3.WatchResponse{Header: *e.headerLocked(), Canceled: true, CompactRevision: e.compacted})
		w.fail(rpctypes.ErrCompacted)
		w.next = math.MaxInt64 // there is nothing more for it
		return
	}
	e.sendLocked(w)
}

func (w *watch) run(to chan<- clientv3.WatchResponse) {
	defer close(to)
	for {
		response, err := w.Recv()
		if err != nil {
			return
		}
		select {
		case to <- response:
		case <-w.ctx.Done():
			return
		}
	}
}

func (e watches) RequestProgress(context.Context) error { return nil }

func (e watches) Close() error { return nil }

// sendLocked sends what a watch has not been sent yet.
func (e *Etcd) sendLocked(w *watch) {
	var events []*clientv3.Event
	for _, event := range e.history {
		if event.Kv.ModRevision >= w.next && within(string(event.Kv.Key), w.from, w.end) {
			events = append(events, (*clientv3.Event)(event))
		}
	}
	w.next = max(w.next, e.revision+1)
	if len(events) > 0 {
		w.heard = events[len(events)-1].Kv.ModRevision + 1
		_ = w.send(clientv3.WatchResponse{Header: *e.headerLocked(), Events: events})
	}
}

// publishLocked has all watches hear of what has happened, unless nobody can
// reach the server.
func (e *Etcd) publishLocked() {
	if e.away {
		return
	}
	for w := range e.watches {
		e.sendLocked(w)
	}
}

// Progress tells all watches up to which revision they have heard of everything,
// as etcd does now and then where nothing happens.
func (e *Etcd) Progress() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watches {
		if w.next <= e.revision+1 {
			w.heard = e.revision + 1
			_ = w.send(clientv3.WatchResponse{Header: *e.headerLocked()})
		}
	}
}

// EndWatches has all watches end without a reason.
func (e *Etcd) EndWatches() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watches {
		delete(e.watches, w)
		w.fail(rpctypes.ErrNoLeader)
	}
}
