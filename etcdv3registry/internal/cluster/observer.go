// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// observer sees all traffic with etcd, and knows from it since when etcd has
// not answered and when the watches go over a new stream.
type observer struct {
	mu      sync.Mutex // guards what follows
	pending map[*request]struct{}
	// unanswered is when the first request was sent of those that etcd left
	// without an answer since it answered last; zero: there is none.
	unanswered time.Time
	answered   time.Time // when etcd answered last
	sent       time.Time // when a request was sent last
	reason     error     // what the last one failed with that was not answered; nil: it was

	// watching is called when etcd has answered on a stream of watches. It must
	// not block: nothing of the stream is read before it returns.
	watching func()
	// keeping is called as watching is, for a stream of keep-alives that is not
	// the first.
	keeping    func()
	keepAlives atomic.Int32 // streams
	// denied is called when etcd does not keep a lease alive as a right to one of
	// its keys lacks.
	denied  func()
	pace    pace
	traffic traffic
}

// request is one that etcd has not answered yet.
type request struct{ sent time.Time }

func (o *observer) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(o.unary),
		grpc.WithChainStreamInterceptor(o.stream),
	}
}

// stale is after how long without a request silence says nothing about etcd.
// What is retried in the background is retried more often.
const stale = 15 * time.Second

// deadline is until when a call of the framework should wait for etcd: timeout
// from now or, while etcd is silent, from when that began, so that the waits of
// many calls do not add up; and why it is silent, if that is known.
func (o *observer) deadline(timeout time.Duration) (until time.Time, reason error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if since := o.silentSinceLocked(); !since.IsZero() && now.Sub(o.sent) <= stale {
		return since.Add(timeout), o.reason
	}
	return now.Add(timeout), nil
}

// silentSinceLocked is since when etcd owes an answer; zero: it owes none.
func (o *observer) silentSinceLocked() time.Time {
	since := o.unanswered
	for r := range o.pending {
		if owed := o.owedLocked(r); since.IsZero() || owed.Before(since) {
			since = owed
		}
	}
	return since
}

// send notes that a request is on its way.
func (o *observer) send() *request {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &request{sent: time.Now()}
	if r.sent.Sub(o.sent) > stale {
		o.unanswered = time.Time{}
	}
	o.sent = r.sent
	if o.pending == nil {
		o.pending = map[*request]struct{}{}
	}
	o.pending[r] = struct{}{}
	return r
}

// end notes what became of a request. One that its caller gave up says nothing
// about etcd.
func (o *observer) end(ctx context.Context, r *request, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	since := o.owedLocked(r)
	delete(o.pending, r)
	switch {
	case err == nil || !retry.CanPass(err) && ctx.Err() == nil:
		o.answerLocked()
	case errors.Is(ctx.Err(), context.Canceled):
	default:
		if o.unanswered.IsZero() || since.Before(o.unanswered) {
			o.unanswered = since
		}
		if ctx.Err() == nil || o.reason == nil { // that it took too long is the least of reasons
			o.reason = err
		}
	}
}

// owedLocked is since when etcd owes the answer to a request: it was well when
// it answered another one later.
func (o *observer) owedLocked(r *request) time.Time {
	if r.sent.Before(o.answered) {
		return o.answered
	}
	return r.sent
}

func (o *observer) answer() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answerLocked()
}

func (o *observer) answerLocked() {
	o.answered = time.Now()
	o.unanswered, o.reason = time.Time{}, nil
}

func (o *observer) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	r, by := o.send(), new(peer.Peer)
	err := invoke(ctx, method, request, reply, conn, append(slices.Clip(opts), grpc.Peer(by))...)
	if err == nil {
		err = checkAnswer(request, reply)
	}
	o.end(ctx, r, err)
	o.traffic.answered(method, by.Addr, err)
	return err
}

// own marks the context of a stream that its owner looks after: nobody else is told
// when it opens, and how soon it follows another one is not for the pace.
type own struct{}

func withOwn(ctx context.Context) context.Context { return context.WithValue(ctx, own{}, true) }

func (o *observer) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	isOwn := ctx.Value(own{}) != nil
	if !isOwn && !retry.Sleep(ctx, o.pace.wait(method)) {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		o.traffic.answered(method, nil, err)
		return nil, err
	}
	return &observedStream{ClientStream: stream, observer: o, ctx: ctx, method: method, opened: time.Now(), own: isOwn}, nil
}

type observedStream struct {
	grpc.ClientStream
	observer *observer
	ctx      context.Context // of who opened it
	method   string
	opened   time.Time
	own      bool

	// RecvMsg is for one goroutine at a time.
	heard bool
	ended bool
}

func (s *observedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		err = checkAnswer(nil, m)
	}
	if err != nil {
		s.end(m, err)
		return err
	}
	s.observer.answer()
	if s.heard || s.own {
		return nil
	}
	s.heard = true
	s.observer.traffic.streams(s.method, s.Context())
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

// end notes why there is no more, once.
func (s *observedStream) end(m any, err error) {
	switch {
	case s.ended:
		return
	case s.own:
		s.observer.traffic.answered(s.method, nil, err)
	default:
		broke := s.ctx.Err() == nil
		s.observer.traffic.ended(s.method, err, broke)
		s.observer.pace.ended(s.method, time.Since(s.opened), broke)
		if _, keeps := m.(*etcdserverpb.LeaseKeepAliveResponse); keeps && retry.Denied(err) {
			s.observer.denied()
		}
	}
	s.ended = true
}

// pace is how soon a stream may follow those that broke at once. etcd's client opens
// another without delay, and everything is watched again on it: if a proxy ends each,
// that would never stop. The zero value is ready.
type pace struct {
	mu    sync.Mutex // guards what follows
	brief map[string]int
}

// wait returns how long to wait before a stream of a method is opened.
func (p *pace) wait(method string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	brief := p.brief[method]
	if brief < 3 {
		return 0
	}
	return min(100*time.Millisecond<<min(brief-3, 6), 5*time.Second)
}

// ended notes how long a stream has lasted, and whether it broke: else it was ended
// here, as there was nothing left to watch.
func (p *pace) ended(method string, lasted time.Duration, broke bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.brief == nil {
		p.brief = map[string]int{}
	}
	if broke && lasted < time.Second {
		p.brief[method]++
	} else {
		p.brief[method] = 0
	}
}
