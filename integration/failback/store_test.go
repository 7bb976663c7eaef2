// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package failback_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// store is an etcd whose data directory the test has its hands on.
type store struct {
	*etcdtest.Server
	client *clientv3.Client // the test's own, soon back when etcd is
	t      testing.TB
	data   string
	backup string
	up     bool
}

func newStore(t testing.TB) *store {
	t.Helper()
	dir := t.TempDir()
	s := &store{t: t, data: filepath.Join(dir, "data"), backup: filepath.Join(dir, "backup"), up: true}
	s.Server = etcdtest.Start(t, etcdtest.WithFlags("--data-dir="+s.data))
	s.client = s.NewClient(quickly)
	return s
}

// quickly has a client connect again at once when etcd is back.
func quickly(c *clientv3.Config) {
	c.DialOptions = append(c.DialOptions, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	}))
}

func (s *store) Kill()  { s.t.Helper(); s.Server.Kill(); s.up = false }
func (s *store) Start() { s.t.Helper(); s.Server.Start(); s.up = true }

// Wipe starts etcd with nothing, like etcdtest's, which does not know of this
// directory.
func (s *store) Wipe() {
	s.t.Helper()
	if s.up {
		s.Kill()
	}
	require.NoError(s.t, os.RemoveAll(s.data))
	s.Start()
}

// Backup copies the data directory while etcd is down.
func (s *store) Backup() {
	s.t.Helper()
	if s.up {
		s.Kill()
	}
	s.copy(s.backup, s.data)
	s.Start()
}

// copy keeps directories as private as etcd demands.
func (s *store) copy(to, from string) {
	s.t.Helper()
	require.NoError(s.t, os.RemoveAll(to))
	require.NoError(s.t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(s.t, filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	}))
}

// Restore starts etcd with what it had at the time of the backup.
func (s *store) Restore() {
	s.t.Helper()
	if s.up {
		s.Kill()
	}
	s.copy(s.data, s.backup)
	s.Start()
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

func (s *store) do(f func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	require.NoError(s.t, f(ctx))
}
