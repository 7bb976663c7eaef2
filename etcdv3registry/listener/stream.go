// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// stream is one of etcd's streams, that all watches of a hub are on. It has the
// token of the moment when it was opened, for ever: once that has expired, or the
// password, a role or whatever else was changed, etcd creates no watch on it any
// more, while those that it has go on. Then all move to another one.
type stream struct {
	ctx  context.Context // of the watches on it; ends with the hub
	n    int             // how many there were before
	over chan struct{}   // closed when there is another one
}

// errMoved ends a watch that is to go on over another stream.
var errMoved = errors.New("the watches go on over another stream")

// newStream returns what a stream is asked for with. etcd's client puts watches on
// one stream if their contexts carry the same.
func newStream(ctx context.Context, n int) *stream {
	// Without a leader a member only falls silent: the watch is to fail instead,
	// and to go on at another member.
	ctx = clientv3.WithRequireLeader(ctx)
	if n > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "watches", strconv.Itoa(n))
	}
	return &stream{ctx: ctx, n: n, over: make(chan struct{})}
}

// stream returns the one that watches are created on.
func (h *Hub) stream() *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watching
}

// moves reports whether a watch that failed on a stream goes on over another one,
// and has all others do so.
func (h *Hub) moves(from *stream, err error) bool {
	if !retry.TokenRefused(err) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watching == from {
		h.watching = newStream(h.ctx, from.n+1)
		close(from.over)
		for _, m := range h.mirrors {
			m.call()
		}
	}
	return true
}
