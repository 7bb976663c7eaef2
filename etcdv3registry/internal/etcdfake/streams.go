// SPDX-License-Identifier: Apache-2.0

package etcdfake

import (
	"context"
	"io"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// WatchStream is one of the server's streams of watches, as a client has it that
// speaks etcd's API itself.
type WatchStream struct {
	*stream[*etcdserverpb.WatchResponse]
	etcd *Etcd

	mu      sync.Mutex
	created int64
	cancels map[int64]context.CancelFunc
}

// OpenWatches opens a stream, which Away and Break end. The watches on it are those of
// single keys, or of ranges; of the filters NOPUT is known.
func (e *Etcd) OpenWatches(ctx context.Context) (*WatchStream, error) {
	if err := e.begin(ctx, "OpenWatches"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &WatchStream{stream: newStream[*etcdserverpb.WatchResponse](ctx), etcd: e, cancels: map[int64]context.CancelFunc{}}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams[s] = cancel
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.streams, s)
	})
	return s, nil
}

// Send is for one goroutine at a time.
func (s *WatchStream) Send(r *etcdserverpb.WatchRequest) error {
	if s.ctx.Err() != nil {
		return io.EOF
	}
	if cancel := r.GetCancelRequest(); cancel != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if end := s.cancels[cancel.WatchId]; end != nil {
			end()
			delete(s.cancels, cancel.WatchId)
			return s.send(&etcdserverpb.WatchResponse{Header: s.header(), WatchId: cancel.WatchId, Canceled: true})
		}
		return nil
	}
	create := r.GetCreateRequest()
	if err := s.etcd.begin(s.ctx, "Watch", string(create.Key)); err != nil {
		return s.send(&etcdserverpb.WatchResponse{Header: s.header(), WatchId: clientv3.InvalidWatchID, Created: true, Canceled: true, CancelReason: err.Error()})
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.created++
	id := s.created
	s.cancels[id] = cancel
	s.mu.Unlock()
	w := &watch{stream: newStream[clientv3.WatchResponse](ctx), from: create.Key, end: create.RangeEnd, next: create.StartRevision}
	puts := !slices.Contains(create.Filters, etcdserverpb.WatchCreateRequest_NOPUT)
	watches{s.etcd}.create(w)
	if created, err := w.Recv(); err == nil { // those come in the order in which they were asked for
		s.forward(id, created, puts)
	}
	go func() {
		for {
			r, err := w.Recv()
			if err != nil {
				return
			}
			s.forward(id, r, puts)
		}
	}()
	return nil
}

func (s *WatchStream) header() *etcdserverpb.ResponseHeader {
	s.etcd.mu.Lock()
	defer s.etcd.mu.Unlock()
	return s.etcd.headerLocked()
}

// forward sends what a watch is told.
func (s *WatchStream) forward(id int64, r clientv3.WatchResponse, puts bool) {
	response := &etcdserverpb.WatchResponse{Header: &r.Header, WatchId: id, Created: r.Created, Canceled: r.Canceled, CompactRevision: r.CompactRevision}
	for _, e := range r.Events {
		if puts || e.Type == mvccpb.DELETE {
			response.Events = append(response.Events, (*mvccpb.Event)(e))
		}
	}
	if len(response.Events) > 0 || len(r.Events) == 0 {
		_ = s.send(response)
	}
}
