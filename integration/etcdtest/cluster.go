// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Cluster is several etcd members, each of which can be stopped, killed and
// paused by itself.
type Cluster struct {
	Members []*Server

	t      testing.TB
	config config
	named  int // members there have been
}

// StartCluster runs a cluster of n members and returns when all are healthy.
func StartCluster(t testing.TB, n int, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t, config: newConfig(opts)}
	// Else etcd takes no new member before all have been connected for 5 s.
	c.config.flags = append([]string{"--strict-reconfig-check=false"}, c.config.flags...)
	for range n {
		c.Members = append(c.Members, c.newMember())
	}
	for _, s := range c.Members {
		s.args = s.arguments(c.peers())
	}
	c.Start()
	return c
}

func (c *Cluster) newMember() *Server {
	c.t.Helper()
	s := newServer(c.t, fmt.Sprintf("etcd%d", c.named), c.config)
	s.member = true
	c.named++
	return s
}

// peers is the flag --initial-cluster.
func (c *Cluster) peers() string {
	var peers []string
	for _, s := range c.Members {
		peers = append(peers, s.peerFlag())
	}
	return strings.Join(peers, ",")
}

// Add runs one more member, at addresses of its own, and returns when it is
// healthy.
func (c *Cluster) Add() *Server {
	c.t.Helper()
	s := c.newMember()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := c.Leader().Client().MemberAdd(ctx, []string{"http://" + s.peer}); err != nil {
		c.t.Fatalf("add a member: %v", err)
	}
	c.Members = append(c.Members, s)
	s.args = append(s.arguments(c.peers()), "--initial-cluster-state=existing")
	s.Start()
	return s
}

// Remove takes a member out of the cluster for good, and ends it.
func (c *Cluster) Remove(s *Server) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c.Members = slices.DeleteFunc(c.Members, func(m *Server) bool { return m == s })
	client := c.NewClient(nil)
	members, err := client.MemberList(ctx)
	if err != nil {
		c.t.Fatalf("list the members: %v", err)
	}
	for _, m := range members.Members {
		if m.Name != s.name {
			continue
		}
		if _, err := client.MemberRemove(ctx, m.ID); err != nil {
			c.t.Fatalf("remove %s: %v", s.name, err)
		}
	}
	s.end()
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
	return newClient(c.t, c.config, urls, edit)
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
