// SPDX-License-Identifier: Apache-2.0

package etcdfake

import (
	"context"
	"io"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

type lease struct {
	ttl   time.Duration
	keys  map[string]struct{}
	ends  time.Time
	timer *time.Timer
}

// leases is the client's view of a server's leases.
type leases struct{ *Etcd }

var _ etcdserverpb.LeaseClient = leases{}

func (e leases) LeaseGrant(ctx context.Context, r *etcdserverpb.LeaseGrantRequest, _ ...grpc.CallOption) (*etcdserverpb.LeaseGrantResponse, error) {
	if err := e.begin(ctx, "LeaseGrant"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.granted++
	id, ttl := e.granted, time.Duration(r.TTL)*time.Second
	e.leases[id] = &lease{ttl: ttl, keys: map[string]struct{}{}, ends: time.Now().Add(ttl), timer: time.AfterFunc(ttl, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.endLeaseLocked(id)
	})}
	return answerLocked(e.Etcd, "LeaseGrant", &etcdserverpb.LeaseGrantResponse{Header: e.headerLocked(), ID: id, TTL: r.TTL}, nil)
}

// endLeaseLocked takes the keys with it.
func (e *Etcd) endLeaseLocked(id int64) {
	l := e.leases[id]
	if l == nil {
		return
	}
	l.timer.Stop()
	delete(e.leases, id)
	if len(l.keys) == 0 {
		return
	}
	e.revision++
	for key := range l.keys {
		e.deleteLocked(key)
	}
	e.publishLocked()
}

func (e leases) LeaseRevoke(ctx context.Context, r *etcdserverpb.LeaseRevokeRequest, _ ...grpc.CallOption) (*etcdserverpb.LeaseRevokeResponse, error) {
	if err := e.begin(ctx, "LeaseRevoke"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leases[r.ID] == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	e.endLeaseLocked(r.ID)
	return answerLocked(e.Etcd, "LeaseRevoke", &etcdserverpb.LeaseRevokeResponse{Header: e.headerLocked()}, nil)
}

func (e leases) LeaseTimeToLive(ctx context.Context, r *etcdserverpb.LeaseTimeToLiveRequest, _ ...grpc.CallOption) (*etcdserverpb.LeaseTimeToLiveResponse, error) {
	if err := e.begin(ctx, "LeaseTimeToLive"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	response := &etcdserverpb.LeaseTimeToLiveResponse{Header: e.headerLocked(), ID: r.ID, TTL: -1}
	if l := e.leases[r.ID]; l != nil {
		response.TTL, response.GrantedTTL = int64(time.Until(l.ends).Seconds()), int64(l.ttl.Seconds())
		for key := range l.keys {
			response.Keys = append(response.Keys, []byte(key))
		}
	}
	return response, nil
}

func (e leases) LeaseLeases(context.Context, *etcdserverpb.LeaseLeasesRequest, ...grpc.CallOption) (*etcdserverpb.LeaseLeasesResponse, error) {
	panic("not used")
}

func (e leases) LeaseKeepAlive(ctx context.Context, _ ...grpc.CallOption) (etcdserverpb.Lease_LeaseKeepAliveClient, error) {
	if err := e.begin(ctx, "LeaseKeepAlive"); err != nil {
		return nil, err
	}
	s := &aliveStream{stream: newStream[*etcdserverpb.LeaseKeepAliveResponse](ctx), etcd: e.Etcd}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alives[s] = struct{}{}
	return s, nil
}

// aliveStream is a stream of keep-alives.
type aliveStream struct {
	*stream[*etcdserverpb.LeaseKeepAliveResponse]
	etcd *Etcd
}

func (s *aliveStream) Send(r *etcdserverpb.LeaseKeepAliveRequest) error {
	if err := s.etcd.begin(s.ctx, "LeaseKeepAlive"); err != nil {
		s.fail(err)
		return io.EOF
	}
	s.etcd.mu.Lock()
	defer s.etcd.mu.Unlock()
	response := &etcdserverpb.LeaseKeepAliveResponse{Header: s.etcd.headerLocked(), ID: r.ID}
	if l := s.etcd.leases[r.ID]; l != nil {
		l.ends = time.Now().Add(l.ttl)
		l.timer.Reset(l.ttl)
		response.TTL = int64(l.ttl.Seconds())
	}
	return s.send(response)
}

// stream is what a server sends to a client, in order.
type stream[M any] struct {
	grpc.ClientStream // the rest of it is not used
	ctx               context.Context

	mu    sync.Mutex // guards what follows
	queue []M
	err   error
	moved chan struct{} // has a value when these have changed
}

func newStream[M any](ctx context.Context) *stream[M] {
	return &stream[M]{ctx: ctx, moved: make(chan struct{}, 1)}
}

func (s *stream[M]) send(m M) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return io.EOF // the reason is what Recv returns, as in gRPC
	}
	s.queue = append(s.queue, m)
	s.signal()
	return nil
}

func (s *stream[M]) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.signal()
}

func (s *stream[M]) signal() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

func (s *stream[M]) Recv() (m M, err error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			m, s.queue = s.queue[0], s.queue[1:]
			s.mu.Unlock()
			return m, nil
		}
		err = s.err
		s.mu.Unlock()
		if err != nil {
			return m, err
		}
		select {
		case <-s.moved:
		case <-s.ctx.Done():
			return m, s.ctx.Err()
		}
	}
}

func (s *stream[M]) CloseSend() error { return nil }

func (s *stream[M]) Context() context.Context { return s.ctx }
