// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
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
	return &store{Server: etcd, client: etcd.NewClient(testkit.Quickly), t: t}
}

// revision is that of the store.
func (s *store) revision() int64 {
	s.t.Helper()
	return testkit.Revision(s.t, s.client)
}

// advance writes what no registry is interested in.
func (s *store) advance(n int64) {
	s.t.Helper()
	for range n {
		testkit.Put(s.t, s.client, "/other/key", "")
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
	testkit.Do(s.t, f)
}
