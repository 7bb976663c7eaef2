// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// scripted is a stream that answers with what is in it, and has nothing then.
type scripted struct {
	grpc.ClientStream
	errs []error
}

func (s *scripted) RecvMsg(any) error {
	err := s.errs[0]
	s.errs = s.errs[1:]
	return err
}

func TestAStreamOfWatchesHasTheStoreCompared(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "of the first store")
		r := open(h, "/a/")
		r.now()
		e.Wipe()
		e.Put("/a/2", "of the second store")
		errAway := errors.New("away")
		opened := func(errs ...error) grpc.ClientStream {
			s, err := h.StreamInterceptor()(t.Context(), nil, nil, "", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				return &scripted{errs: errs}, nil
			})
			require.NoError(t, err)
			return s
		}
		asked := func() int { // once it would have been
			time.Sleep(5 * time.Second)
			return e.Requests("Txn")
		}
		asked()

		require.ErrorIs(t, opened(errAway).RecvMsg(&etcdserverpb.WatchResponse{}), errAway)
		require.NoError(t, opened(nil).RecvMsg(&etcdserverpb.LeaseKeepAliveResponse{}))
		assert.Zero(t, asked(), "there are no watches on these")

		s := opened(nil, nil)
		require.NoError(t, s.RecvMsg(&etcdserverpb.WatchResponse{}))
		require.Eventually(t, func() bool { return e.Requests("Txn") == 1 }, 5*time.Second, time.Millisecond)
		require.NoError(t, s.RecvMsg(&etcdserverpb.WatchResponse{}))
		assert.Zero(t, asked(), "it is the same stream")
		require.Eventually(t, func() bool { return maps.Equal(e.Keys("/a/"), r.now()) }, session, time.Millisecond)
	})
}

func TestAStreamThatDoesNotOpenIsAnError(t *testing.T) {
	h := NewHub(Config{})
	defer h.Close()
	errAway := errors.New("away")
	_, err := h.StreamInterceptor()(t.Context(), nil, nil, "", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, errAway
	})
	assert.ErrorIs(t, err, errAway)
}
