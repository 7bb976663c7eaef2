// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// startTimeout is how long a server may take until it is healthy. Most are
	// within half a second, which is spent on the election of a leader.
	startTimeout = 30 * time.Second
	// healthInterval is how often a starting server is asked for its health.
	healthInterval = 10 * time.Millisecond
)

// errPortTaken says that etcd ended because it could not listen.
var errPortTaken = errors.New("a port is taken")

// arguments returns the command line for a member of initialCluster.
func (s *Server) arguments(initialCluster string) []string {
	listen := s.URL()
	if s.config.everywhere {
		listen = strings.Replace(listen, s.client, everywhere(s.client), 1)
	}
	args := []string{
		"--name=" + s.name,
		"--data-dir=" + s.dataDir(),
		"--listen-client-urls=" + listen,
		"--advertise-client-urls=" + s.URL(),
		"--listen-peer-urls=http://" + s.peer,
		"--initial-advertise-peer-urls=http://" + s.peer,
		"--initial-cluster=" + initialCluster,
		"--listen-metrics-urls=http://" + s.metrics,
		// Many servers share a small machine: no fsync, as its loss would take
		// a crash of the machine. etcd grants no lease shorter than one and a
		// half election timeouts, rounded up to a second: this one permits
		// leases of 1 s, the default of 1000 ms only of 2 s.
		"--unsafe-no-fsync",
		"--heartbeat-interval=50",
		"--election-timeout=500",
		"--bcrypt-cost=4", // a password is checked on the machine that tests run on
	}
	if takes("log-format") { // since 3.6; others log in JSON
		args = append(args, "--log-format=console")
	}
	return append(args, s.config.flags...)
}

// peerFlag is the server's part of the flag --initial-cluster.
func (s *Server) peerFlag() string { return s.name + "=http://" + s.peer }

// launch starts the process and returns without waiting for its health.
func (s *Server) launch() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		s.t.Fatalf("etcdtest: Start of %s, which is running", s.name)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatalf("open etcd's log: %v", err)
	}
	defer log.Close() // the process has its own descriptor of it
	if s.logFrom, err = log.Seek(0, io.SeekEnd); err != nil {
		s.t.Fatalf("open etcd's log: %v", err)
	}
	if s.proc, err = startProcess(s.args, log); err != nil {
		s.t.Fatal(err)
	}
}

// awaitHealthy returns when a launched server is healthy. One that ended
// because something still held its port is launched again.
func (s *Server) awaitHealthy() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(s.config.patience, startTimeout))
	defer cancel()
	for {
		err := s.pollHealth(ctx)
		if err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) || ctx.Err() != nil {
			s.t.Fatalf("start %s (%s): %v", s.name, s.client, err)
		}
		time.Sleep(10 * healthInterval)
		s.launch()
	}
}

func (s *Server) pollHealth(ctx context.Context) error {
	s.mu.Lock()
	proc, logFrom := s.proc, s.logFrom
	s.mu.Unlock()
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		err := s.health(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-proc.exited:
			if logContains(s.logPath(), logFrom, "address already in use") {
				return fmt.Errorf("etcd has ended: %w", errPortTaken)
			}
			return errors.New("etcd has ended")
		case <-ctx.Done():
			return fmt.Errorf("not healthy within %v: %w", cmp.Or(s.config.patience, startTimeout), err)
		case <-ticker.C:
		}
	}
}

// health asks the server whether it knows a leader and can serve reads.
func (s *Server) health(ctx context.Context) error {
	_, err := s.httpGet(ctx, "/health")
	return err
}

// httpGet asks the listener for /health and /metrics, which has no TLS and is
// no part of what the metrics count. It leaves no connection behind.
func (s *Server) httpGet(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.config.patience, 5*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s: %s", path, resp.Status, body)
	}
	return body, nil
}
