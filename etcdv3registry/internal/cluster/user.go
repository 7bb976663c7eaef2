// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"sync"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
)

// ErrClosed is the result of a Get after Close.
var ErrClosed = errors.New("it has been closed")

// User is one user of a cluster: it costs nothing until it is used. Its methods
// may be called from any goroutine.
type User struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	cluster *Cluster
	closed  bool
}

// NewUser returns a user of the cluster that cfg names.
func NewUser(cfg Config) *User { return &User{cfg: cfg} }

// Get returns the cluster; the first call acquires it.
func (u *User) Get() (*Cluster, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, ErrClosed
	}
	if u.cluster == nil {
		u.cluster = Acquire(u.cfg)
	}
	return u.cluster, nil
}

// Desired returns what keeps the keys that this process wants in the cluster.
func (u *User) Desired() (*desired.Reconciler, error) {
	c, err := u.Get()
	if err != nil {
		return nil, err
	}
	return c.Desired, nil
}

// Close releases the cluster, if it was acquired, as Cluster.Release does.
// Calling it again does nothing.
func (u *User) Close(ctx context.Context) error {
	u.mu.Lock()
	c := u.cluster
	u.cluster, u.closed = nil, true
	u.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.Release(ctx)
}
