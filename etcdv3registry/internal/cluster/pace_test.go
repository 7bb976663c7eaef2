// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// opening opens a stream, of which the end is err.
func (o *observer) opening(ctx context.Context, method string, err error) error {
	stream, openErr := o.stream(ctx, nil, nil, method, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return answers{err: err}, nil
	})
	if openErr != nil {
		return openErr
	}
	_ = stream.RecvMsg(&etcdserverpb.WatchResponse{})
	return nil
}

func TestStreamsThatBreakAtOnceAreOpenedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer{watching: func() {}}
		broken, n := errors.New("connection reset"), 0
		for begun := time.Now(); time.Since(begun) < 10*time.Minute; n++ {
			assert.NoError(t, o.opening(t.Context(), "/Watch", broken))
		}
		assert.Less(t, n, 150)
		begun := time.Now()
		assert.NoError(t, o.opening(t.Context(), "/LeaseKeepAlive", broken))
		assert.Zero(t, time.Since(begun), "nobody else suffers")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorContains(t, o.opening(ctx, "/Watch", broken), "canceled")
	})
}

// The last watch is ended, and another one made, as references come and go.
func TestStreamsThatAreEndedHereAreOpenedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer{watching: func() {}}
		begun := time.Now()
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := o.stream(ctx, nil, nil, "/Watch", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				return answers{err: context.Canceled}, nil
			})
			assert.NoError(t, err)
			cancel()
			_ = stream.RecvMsg(&etcdserverpb.WatchResponse{})
		}
		assert.Zero(t, time.Since(begun))
	})
}
