// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Cluster is several etcd members, each of which can be stopped, killed and
// paused by itself.
type Cluster struct {
	Members []*Server

	t testing.TB
}

// StartCluster runs a cluster of n members and returns when all are healthy.
func StartCluster(t testing.TB, n int, opts ...Option) *Cluster {
	t.Helper()
	cfg := newConfig(opts)
	c := &Cluster{t: t}
	var peers []string
	for i := range n {
		s := newServer(t, fmt.Sprintf("etcd%d", i), cfg)
		s.member = true
		peers = append(peers, s.peerFlag())
		c.Members = append(c.Members, s)
	}
	for _, s := range c.Members {
		s.args = s.arguments(strings.Join(peers, ","))
	}
	c.Start()
	return c
}

// Start runs all members that do not run, together: where a majority is down,
// none of them becomes healthy alone.
func (c *Cluster) Start() {
	c.t.Helper()
	var started []*Server
	for _, s := range c.Members {
		if !s.running() {
			s.launch()
			started = append(started, s)
		}
	}
	for _, s := range started {
		s.awaitHealthy()
	}
}

// Endpoints returns the host:port of each member.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, s := range c.Members {
		endpoints = append(endpoints, s.Endpoint())
	}
	return endpoints
}

// NewClient returns a client of all members, closed when the test ends. edit,
// unless nil, changes its config first.
func (c *Cluster) NewClient(edit func(*clientv3.Config)) *clientv3.Client {
	c.t.Helper()
	var urls []string
	for _, s := range c.Members {
		urls = append(urls, s.URL())
	}
	return newClient(c.t, c.Members[0].config, urls, edit)
}

// Leader returns the member that leads, waiting until one does.
func (c *Cluster) Leader() *Server {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		for _, s := range c.Members {
			if s.leads(ctx) {
				return s
			}
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("no member leads the cluster after %v", startTimeout)
		case <-ticker.C:
		}
	}
}

// leads asks the member itself, which is what counts: one that is cut off from
// the others still believes for an election timeout that it leads.
func (s *Server) leads(ctx context.Context) bool {
	s.t.Helper()
	if !s.running() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := s.Client().Status(ctx, s.URL())
	return err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId
}
