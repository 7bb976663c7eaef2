// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// observer sees all traffic with etcd, and knows from it since when etcd has
// not answered and when the watches go over a new stream.
type observer struct {
	// silentSince is when the first request was sent that has not been followed
	// by any answer, in nanoseconds since 1970; 0: etcd has answered last.
	silentSince atomic.Int64
	lastAsked   atomic.Int64 // when a request was sent last, likewise
	// watching is called when etcd has answered on a stream of watches. It must
	// not block: nothing of the stream is read before it returns.
	watching func()
	// keeping likewise, on a stream of keep-alives that is not the first.
	keeping    func()
	keepAlives atomic.Int32 // streams
}

func (o *observer) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(o.unary),
		grpc.WithChainStreamInterceptor(o.stream),
	}
}

// deadline is until when a call of the framework should wait for etcd: timeout
// from now or, while etcd is silent, from when that began, so that the waits of
// many calls do not add up.
func (o *observer) deadline(timeout time.Duration) time.Time {
	now := time.Now()
	last := o.lastAsked.Load() // first: asked sets it last
	since := o.silentSince.Load()
	if since == 0 || now.Sub(time.Unix(0, last)) > stale {
		return now.Add(timeout)
	}
	return time.Unix(0, since).Add(timeout)
}

// stale is after how long without a request silence says nothing about etcd.
// What is retried in the background is retried more often.
const stale = 15 * time.Second

func (o *observer) asked() {
	now := time.Now()
	if now.Sub(time.Unix(0, o.lastAsked.Load())) > stale {
		o.silentSince.Store(now.UnixNano()) // whoever was not answered then
	} else {
		o.silentSince.CompareAndSwap(0, now.UnixNano())
	}
	o.lastAsked.Store(now.UnixNano())
}

func (o *observer) answered() { o.silentSince.Store(0) }

func (o *observer) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	o.asked()
	err := invoke(ctx, method, request, reply, conn, opts...)
	if err == nil || !retry.CanPass(err) && ctx.Err() == nil {
		o.answered()
	}
	return err
}

func (o *observer) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &observedStream{ClientStream: stream, observer: o}, nil
}

type observedStream struct {
	grpc.ClientStream
	observer *observer
	heard    bool // RecvMsg is for one goroutine at a time
}

func (s *observedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		return err
	}
	s.observer.answered()
	if s.heard {
		return nil
	}
	s.heard = true
	switch m.(type) {
	case *etcdserverpb.WatchResponse:
		s.observer.watching()
	case *etcdserverpb.LeaseKeepAliveResponse:
		if s.observer.keepAlives.Add(1) > 1 {
			s.observer.keeping()
		}
	}
	return nil
}
