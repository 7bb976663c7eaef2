// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"maps"
	"net"
	"path"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Calls is how many requests of one method have ended in one way. A stream is one
// when it ends.
type Calls struct {
	Method string // "Range"
	Code   codes.Code
	Count  uint64
}

// Failure is a request that has failed.
type Failure struct {
	At     time.Time // zero: none has
	Method string
	Err    error
}

// InUse is which of etcd's members answered last; empty: none has.
type InUse struct {
	Requests, Watches, Lease string // host:port each
}

const (
	watchMethod     = "/etcdserverpb.Watch/Watch"
	keepAliveMethod = "/etcdserverpb.Lease/LeaseKeepAlive"
)

// traffic is what is counted of the requests. The zero value is ready.
type traffic struct {
	mu                        sync.Mutex // guards what follows
	calls                     map[call]uint64
	last                      Failure
	answers, watches, keeping net.Addr
	unwatched                 time.Time // since when there is no stream of watches, as it broke; zero: there is one
	unwatchedBy               error     // why
}

type call struct {
	method string // as gRPC has it
	code   codes.Code
}

// answered notes how a request has ended, and who answered, if that is known.
func (t *traffic) answered(method string, by net.Addr, err error) {
	c := call{method, status.Code(err)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[call]uint64{}
	}
	t.calls[c]++
	if by != nil && (err == nil || !retry.CanPass(err)) { // else it was asked, and has not answered
		t.answers = by
	}
	if err != nil && c.code != codes.Canceled { // by this process
		t.last = Failure{time.Now(), path.Base(method), err}
	}
}

// ended notes that a stream has, and whether it broke: else it was ended here.
func (t *traffic) ended(method string, err error, broke bool) {
	t.answered(method, nil, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if broke && method == watchMethod && t.unwatched.IsZero() {
		t.unwatched, t.unwatchedBy = time.Now(), err
	}
}

// unfollowed returns since when, and why, nothing can be watched: etcd's client opens
// another stream in silence. Zero: it can be.
func (t *traffic) unfollowed() (since time.Time, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unwatched, t.unwatchedBy
}

// failed notes what has failed before there was a request.
func (t *traffic) failed(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = Failure{time.Now(), what, err}
}

// streams notes who has answered on a stream, of which ctx is.
func (t *traffic) streams(method string, ctx context.Context) { //nolint:revive // it is the stream's, and no call's
	by, ok := peer.FromContext(ctx)
	if !ok {
		by = &peer.Peer{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch method {
	case watchMethod:
		t.watches, t.unwatched, t.unwatchedBy = by.Addr, time.Time{}, nil
	case keepAliveMethod:
		t.keeping = by.Addr
	}
}

// now returns what was counted, by method and code.
func (t *traffic) now() (calls []Calls, last Failure, used InUse) {
	t.mu.Lock()
	counted := maps.Clone(t.calls)
	last, used = t.last, InUse{hostPort(t.answers), hostPort(t.watches), hostPort(t.keeping)}
	t.mu.Unlock()
	for c, n := range counted {
		calls = append(calls, Calls{path.Base(c.method), c.code, n})
	}
	slices.SortFunc(calls, func(a, b Calls) int { return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(a.Code, b.Code)) })
	return calls, last, used
}

func hostPort(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// link is whether there is a connection. The zero value is ready: there is none, and
// never was.
type link struct {
	mu    sync.Mutex // guards what follows
	there bool
	since time.Time // of the last change; zero: there never was one
}

func (l *link) note(state connectivity.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := state == connectivity.Ready; there != l.there {
		l.there, l.since = there, time.Now()
	}
}

func (l *link) now() (there bool, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.there, l.since
}
