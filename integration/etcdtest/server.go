// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Server is one etcd member: an address and a data directory for the length of
// a test, and, while it runs, a process.
type Server struct {
	t       testing.TB
	name    string
	dir     string // holds the data and the log
	args    []string
	config  config
	client  string // host:port for clients
	peer    string // host:port for other members
	metrics string // host:port for /health and /metrics, always without TLS
	member  bool   // one of several in a cluster

	mu      sync.Mutex // guards all below
	proc    *process   // nil until first started
	logFrom int64      // where the log of proc begins
	shared  *clientv3.Client
}

// Start runs a server of one member and returns when it is healthy. It is
// killed when the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := Reserve(t, opts...)
	s.Start()
	return s
}

// Reserve returns a server that has its address, but does not run before its
// Start: until then a client of it finds the connection refused.
func Reserve(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := newServer(t, "etcd0", newConfig(opts))
	s.args = s.arguments(s.peerFlag())
	return s
}

// newServer lacks only its arguments, which in a cluster name all members.
func newServer(t testing.TB, name string, cfg config) *Server {
	t.Helper()
	s := &Server{
		t:       t,
		name:    name,
		dir:     t.TempDir(),
		config:  cfg,
		client:  reserveAddr(t),
		peer:    reserveAddr(t),
		metrics: reserveAddr(t),
	}
	t.Cleanup(s.cleanup)
	return s
}

// end ends the process, whether it runs or not.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
	}
}

// cleanup ends the process and shows its log if the test has failed.
func (s *Server) cleanup() {
	s.end()
	if s.t.Failed() {
		s.t.Logf("the last lines of %s (%s):\n%s", s.name, s.client, tail(s.logPath()))
	}
}

// Endpoint returns the server's host:port, which never changes.
func (s *Server) Endpoint() string { return s.client }

// URL returns the endpoint with its scheme, http or https.
func (s *Server) URL() string {
	if s.config.ca != nil {
		return "https://" + s.client
	}
	return "http://" + s.client
}

// Start runs a server that was reserved, stopped or killed, with the data it
// had, and returns when it is healthy: when it knows a leader. In a cluster
// that takes a majority; see [Cluster.Start].
func (s *Server) Start() {
	s.t.Helper()
	s.launch()
	s.awaitHealthy()
}

// Stop asks the server to stop and returns when it has. Its data is kept. It
// refuses new connections at once, but gives open watches and keep-alives some
// seconds to end of themselves; where that does not matter, Kill is quicker.
func (s *Server) Stop() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRun("Stop")
	// A paused process would not hear SIGTERM.
	if err := s.proc.resume(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.proc.terminate(); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the server as a crash would, running or paused. What it had
// acknowledged is kept: without fsync it is lost only if the machine dies too.
func (s *Server) Kill() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRun("Kill")
	s.proc.kill()
}

// Pause freezes the server: connections to it stay open and new ones are still
// accepted by the kernel, but nothing is answered until Resume.
func (s *Server) Pause() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRun("Pause")
	if err := s.proc.pause(); err != nil {
		s.t.Fatal(err)
	}
}

// Resume lets a paused server go on. Leases that ran out meanwhile expire.
func (s *Server) Resume() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRun("Resume")
	if err := s.proc.resume(); err != nil {
		s.t.Fatal(err)
	}
}

// Wipe starts the server anew with an empty data directory, whether it ran or
// not: no keys, no leases, the revision back at 1. Cluster and member id are
// the same as before, since etcd derives them from its flags.
func (s *Server) Wipe() {
	s.t.Helper()
	if s.member {
		s.t.Fatal("etcdtest: Wipe is for a server of one member: a wiped member is refused by the others")
	}
	if s.running() {
		s.Kill()
	}
	if err := os.RemoveAll(s.dataDir()); err != nil {
		s.t.Fatalf("wipe etcd: %v", err)
	}
	s.Start()
}

// Backup keeps a copy of the data for Restore. A server that runs is killed for
// that, and started again.
func (s *Server) Backup() {
	s.t.Helper()
	ran := s.running()
	if ran {
		s.Kill()
	}
	if err := copyDir(s.backupDir(), s.dataDir()); err != nil {
		s.t.Fatalf("back up etcd: %v", err)
	}
	if ran {
		s.Start()
	}
}

// Restore starts the server anew, whether it ran or not, with what it had at
// the last Backup: an older revision, the leases of then.
func (s *Server) Restore() {
	s.t.Helper()
	if s.member {
		s.t.Fatal("etcdtest: Restore is for a server of one member: the others know more than its data")
	}
	if s.running() {
		s.Kill()
	}
	if err := copyDir(s.dataDir(), s.backupDir()); err != nil {
		s.t.Fatalf("restore etcd: %v", err)
	}
	s.Start()
}

// Snapshot writes one, as an operator's backup does, and returns its path.
func (s *Server) Snapshot() (path string) {
	s.t.Helper()
	path = filepath.Join(s.t.TempDir(), "snapshot.db")
	s.Shell("etcdctl snapshot save '" + path + "'")
	return path
}

// RestoreSnapshot starts the server anew with what is in a snapshot, restored by etcdutl
// with some flags: the keys have their revisions of then.
func (s *Server) RestoreSnapshot(path string, flags ...string) {
	s.t.Helper()
	if s.member {
		s.t.Fatal("etcdtest: RestoreSnapshot is for a server of one member")
	}
	if s.running() {
		s.Kill()
	}
	if err := os.RemoveAll(s.dataDir()); err != nil {
		s.t.Fatalf("restore a snapshot: %v", err)
	}
	s.Shell(fmt.Sprintf("etcdutl snapshot restore '%s' --data-dir '%s' %s", path, s.dataDir(), strings.Join(flags, " ")))
	s.Start()
}

// copyDir replaces a directory by a copy of another one, in which directories
// are as private as etcd demands.
func copyDir(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
}

// Compact discards the history before rev; a watch that asks for it is then
// cancelled with ErrCompacted.
func (s *Server) Compact(rev int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := s.Client().Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
		s.t.Fatalf("compact etcd at revision %d: %v", rev, err)
	}
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil && s.proc.running()
}

// mustRun ends a test that asks something of a server that does not run; s.mu
// is held.
func (s *Server) mustRun(method string) {
	s.t.Helper()
	if s.proc == nil || !s.proc.running() {
		s.t.Fatalf("etcdtest: %s of %s, which is not running", method, s.name)
	}
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

func (s *Server) backupDir() string { return filepath.Join(s.dir, "backup") }

func (s *Server) logPath() string { return filepath.Join(s.dir, "etcd.log") }
