// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// store is an etcd with a client that nothing cuts off.
type store struct {
	*etcdtest.Server
	client *clientv3.Client // soon back when etcd is
	t      testing.TB
}

func newStore(t testing.TB, opts ...etcdtest.Option) *store {
	t.Helper()
	etcd := etcdtest.Start(t, opts...)
	return &store{Server: etcd, client: etcd.NewClient(quickly), t: t}
}

// quickly has a client connect again at once when etcd is back.
func quickly(c *clientv3.Config) {
	c.DialOptions = append(c.DialOptions, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	}))
}

// revision is that of the store.
func (s *store) revision() int64 {
	s.t.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	response, err := s.client.Get(ctx, "x")
	require.NoError(s.t, err)
	return response.Header.Revision
}

// advance writes what no registry is interested in.
func (s *store) advance(n int64) {
	s.t.Helper()
	for range n {
		s.do(func(ctx context.Context) error { _, err := s.client.Put(ctx, "/other/key", ""); return err })
	}
}

// compactAll has etcd forget all history.
func (s *store) compactAll() {
	s.t.Helper()
	revision := s.revision()
	s.do(func(ctx context.Context) error { _, err := s.client.Compact(ctx, revision); return err })
}

func (s *store) do(f func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	require.NoError(s.t, f(ctx))
}
