// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Client returns the test's own client of this server, the same at each call;
// it is closed when the test ends. Its requests count in the server's metrics.
func (s *Server) Client() *clientv3.Client {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil {
		s.shared = s.NewClient(nil)
	}
	return s.shared
}

// NewClient returns another client of this server, closed when the test ends.
// edit, unless nil, changes its config first: to log in, for instance.
func (s *Server) NewClient(edit func(*clientv3.Config)) *clientv3.Client {
	s.t.Helper()
	return newClient(s.t, s.config, []string{s.URL()}, edit)
}

func newClient(t testing.TB, cfg config, endpoints []string, edit func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	settings := clientv3.Config{
		Endpoints:   endpoints,
		DialTimeout: 5 * time.Second,
		Logger:      zap.NewNop(), // tests take servers away on purpose
	}
	if cfg.ca != nil {
		settings.TLS = cfg.ca.ClientTLS()
	}
	if edit != nil {
		edit(&settings)
	}
	client, err := clientv3.New(settings)
	if err != nil {
		t.Fatalf("connect to etcd: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
