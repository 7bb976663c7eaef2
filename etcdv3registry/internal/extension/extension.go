// SPDX-License-Identifier: Apache-2.0

// Package extension is what the extensions of the framework have in common: their
// configuration, and the use that each of them makes of etcd and of the local cache
// file.
package extension

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
)

// Config is what an extension needs.
type Config struct {
	URL     *common.URL // without secrets: the framework shows it, and reads its own parameters from it
	Cluster cluster.Config
	Root    string        // what every key begins with: "/dubbo", "/tenant/services"
	Timeout time.Duration // how long a call of the framework waits for etcd
	// Services is what the keys of instances begin with, for a metadata report.
	Services string
	Check    bool // an etcd that is away is an error, instead of going on without
	// KeepLast has consumers keep the last providers when all of them are gone, until
	// there are some again.
	KeepLast bool
	// CachePath returns where the local cache file of an application is; empty: there
	// is none. It is called with the first use. Nil: there is none.
	CachePath  func(application string) string
	SaveAtOnce bool // the cache file is saved with every change, rather than a little later
	// ScriptRules lets rules through that are programs.
	ScriptRules bool
}

// ErrClosed is the result of a call after the end of an extension that has no error
// of its own for that.
var ErrClosed = errors.New("it has been closed")

// User is what one extension uses. It costs nothing until it does. Its methods may
// be called from any goroutine.
type User struct {
	Config
	Registrations *desired.Registrations

	closed  error       // of a call after End
	serving atomic.Bool // the cache file was fallen back on, and etcd has not answered since

	mu      sync.Mutex // guards what follows
	ended   bool
	cluster *cluster.Cluster
	opened  bool // the cache file was, if there is one
	file    *cachefile.File
}

// NewUser returns the user of an extension. Its registrations wait for etcd no
// longer than timeout; calls after End fail with closed.
func NewUser(cfg Config, timeout time.Duration, closed error) *User {
	u := &User{Config: cfg, closed: closed}
	u.Registrations = desired.NewRegistrations(desired.RegistrationsConfig{
		Use: u.desired, Timeout: timeout, Check: cfg.Check, Endpoints: cfg.Cluster.Endpoints, Closed: closed,
	})
	return u
}

// Get returns the cluster; the first call acquires it. Who gets it under a lock of
// its own, and calls End before it takes that, misses nothing that was begun.
func (u *User) Get() (*cluster.Cluster, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return nil, u.closed
	}
	if u.cluster == nil {
		u.cluster = cluster.Acquire(u.Cluster)
	}
	return u.cluster, nil
}

func (u *User) desired() (*desired.Reconciler, error) {
	c, err := u.Get()
	if err != nil {
		return nil, err
	}
	return c.Desired, nil
}

// File returns the cache file of an application, opened by the first call; nil, of
// which the methods do nothing, if there is none.
func (u *User) File(application string) *cachefile.File {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.opened || u.ended || u.CachePath == nil {
		return u.file
	}
	u.opened = true
	if path := u.CachePath(application); path != "" {
		u.file = cachefile.Open(path, cachefile.Config{Immediate: u.SaveAtOnce})
	}
	return u.file
}

// FallsBack tells the log, once, that etcd does not answer, and that the cache file
// is gone on with, which was saved then.
func (u *User) FallsBack(what string, file *cachefile.File, saved time.Time) {
	if !u.serving.Swap(true) {
		logger.Warnf("[etcdv3] ETCD DOES NOT ANSWER, RUNNING ON CACHED ADDRESSES: etcd at %v is away; the %s are from %s, saved %v ago; they are brought up to date when etcd answers",
			u.Cluster.Endpoints, what, file.Path(), time.Since(saved).Round(time.Second))
	}
}

// Answers tells the log that etcd does again.
func (u *User) Answers(what string) {
	if u.serving.Swap(false) {
		logger.Infof("[etcdv3] etcd at %v answers: the cached %s are brought up to date", u.Cluster.Endpoints, what)
	}
}

// Err is what calls fail with after End; nil before.
func (u *User) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return u.closed
	}
	return nil
}

// End has calls fail from now on, and reports whether they did not before.
func (u *User) End() (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	first, u.ended = !u.ended, true
	return first
}

// Close saves the cache file, gives up what is registered, and the cluster as
// Cluster.Release does. End comes before. It waits for etcd as a call of the
// framework does. Calling it again does nothing.
func (u *User) Close() error {
	u.mu.Lock()
	c, file := u.cluster, u.file
	u.cluster, u.file = nil, nil
	u.mu.Unlock()
	file.Close()
	if c == nil {
		return nil // nor is anything registered
	}
	ctx, cancel := c.Waiting(u.Timeout)
	defer cancel()
	return errors.Join(u.Registrations.Close(ctx), c.Release(ctx))
}
