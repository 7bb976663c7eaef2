// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// answers is a stream on which etcd has answered already.
type answers struct {
	grpc.ClientStream
	err error
}

func (a answers) Context() context.Context { return context.Background() }

func (a answers) RecvMsg(m any) error {
	switch header := (&etcdserverpb.ResponseHeader{Revision: 1}); m := m.(type) {
	case *etcdserverpb.WatchResponse:
		m.Header = header
	case *etcdserverpb.LeaseKeepAliveResponse:
		m.Header = header
	}
	return a.err
}

// open opens a stream of an observer, and returns what receives a message.
func (o *observer) open(t *testing.T, a answers, err error) grpc.ClientStream {
	t.Helper()
	stream, got := o.stream(t.Context(), nil, nil, "/etcdserverpb.Watch/Watch", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return a, err
	})
	require.Equal(t, err, got)
	return stream
}

func TestEachStreamOfWatchesIsToldOfOnce(t *testing.T) {
	var watching, keeping int
	o := observer{watching: func() { watching++ }, keeping: func() { keeping++ }}
	for n := range 3 {
		s := o.open(t, answers{}, nil)
		assert.Equal(t, n, watching, "etcd has not answered on it yet")
		for range 3 {
			require.NoError(t, s.RecvMsg(&etcdserverpb.WatchResponse{}))
			assert.Equal(t, n+1, watching)
		}
	}
	broken := o.open(t, answers{err: errors.New("connection reset")}, nil)
	require.Error(t, broken.RecvMsg(&etcdserverpb.WatchResponse{}))
	o.open(t, answers{}, errors.New("connection refused"))
	assert.Equal(t, 3, watching)
	assert.Zero(t, keeping)
}

// With the first one the lease is taken: there is nothing to look for yet.
func TestEachStreamOfKeepAlivesButTheFirstIsToldOfOnce(t *testing.T) {
	var watching, keeping int
	o := observer{watching: func() { watching++ }, keeping: func() { keeping++ }}
	for n := range 3 {
		s := o.open(t, answers{}, nil)
		for range 3 {
			require.NoError(t, s.RecvMsg(&etcdserverpb.LeaseKeepAliveResponse{}))
			assert.Equal(t, n, keeping)
		}
	}
	assert.Zero(t, watching)
}

func TestALeaseThatIsNotKeptAliveForARightIsToldOf(t *testing.T) {
	denied := 0
	o := observer{watching: func() {}, keeping: func() {}, denied: func() { denied++ }}
	for _, err := range []error{errors.New("connection reset"), rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCPermissionDenied} {
		assert.Zero(t, denied)
		require.Error(t, o.open(t, answers{err: err}, nil).RecvMsg(&etcdserverpb.LeaseKeepAliveResponse{}))
	}
	assert.Equal(t, 1, denied)
	require.Error(t, o.open(t, answers{err: rpctypes.ErrGRPCPermissionDenied}, nil).RecvMsg(&etcdserverpb.WatchResponse{}))
	assert.Equal(t, 1, denied, "that is no lease")
}

func TestAnEtcdThatAnswersOnAStreamIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer{watching: func() {}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o.ask(ctx, after(never, nil))
		assert.Equal(t, 3*time.Second, o.waits())
		broken := o.open(t, answers{err: errors.New("connection reset")}, nil)
		require.Error(t, broken.RecvMsg(&etcdserverpb.WatchResponse{}))
		assert.Equal(t, 3*time.Second, o.waits())
		require.NoError(t, o.open(t, answers{}, nil).RecvMsg(&etcdserverpb.WatchResponse{}))
		assert.Equal(t, 5*time.Second, o.waits())
	})
}
