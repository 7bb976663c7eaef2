// SPDX-License-Identifier: Apache-2.0

// Package registry is the interface-level registry: what providers and consumers
// register, and what they are told of each other.
package registry

import (
	"errors"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/governance"
)

var (
	errDestroyed = errors.New("etcdv3 registry: it has been destroyed")
	errNoURL     = errors.New("etcdv3 registry: there is no URL")
)

// Registry is the interface-level registry.
//
// It is not made of the framework's BaseRegistry: that refuses to register a
// service again, which a provider does after an override; it has one URL to a
// path, where Java has a category and a role; it delivers one event at a time to a
// directory that takes seconds for a few thousand; and it forgets what could not
// be done.
type Registry struct {
	cfg           Config
	registrations *desired.Registrations

	mu            sync.Mutex // guards what follows
	cluster       *cluster.Cluster
	destroyed     bool
	cache         *cache // opened by the first subscription, unless there is none
	subscriptions map[subscriptionID]subscribed
	origins       map[string]*governance.Origin // of providers that listen to overrides, by governance.ExportKey
	deaf          func()                        // ends what OnOverrides began; nil before the first use
}

// Config is what a registry needs.
type Config struct {
	URL        *common.URL // of the registry, without secrets: the framework writes it to its log
	Cluster    cluster.Config
	Root       string                          // what every key begins with: "/dubbo"
	Timeout    time.Duration                   // how long a call of the framework waits for etcd
	Check      bool                            // fail instead of going on without etcd
	KeepLast   bool                            // a consumer keeps its providers when all are gone
	CachePath  func(application string) string // of the local cache file; empty: there is none
	SaveAtOnce bool                            // it is saved with every change, rather than a little later
}

var _ framework.Registry = (*Registry)(nil)

// New makes a registry. It does nothing before it is used.
func New(cfg Config) *Registry {
	r := &Registry{
		cfg:           cfg,
		subscriptions: map[subscriptionID]subscribed{},
		origins:       map[string]*governance.Origin{},
	}
	r.registrations = desired.NewRegistrations(desired.RegistrationsConfig{
		Use: r.use, Timeout: registerWait(cfg.Timeout), Check: cfg.Check, Endpoints: cfg.Cluster.Endpoints, Closed: errDestroyed,
	})
	return r
}

// use returns what keeps registrations.
func (r *Registry) use() (*desired.Reconciler, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.useLocked()
	if err != nil {
		return nil, err
	}
	return c.Desired, nil
}

// GetURL returns the URL of the registry, without its password.
func (r *Registry) GetURL() *common.URL { return r.cfg.URL }

// IsAvailable reports whether the registry has not been destroyed: while etcd is
// away it is of use all the same.
func (r *Registry) IsAvailable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.destroyed
}

// useLocked returns the cluster, acquired by the first use.
func (r *Registry) useLocked() (*cluster.Cluster, error) {
	if r.destroyed {
		return nil, errDestroyed
	}
	if r.cluster == nil {
		r.cluster = cluster.Acquire(r.cfg.Cluster)
		r.deaf = r.cluster.OnOverrides(r.overridesChanged)
	}
	return r.cluster, nil
}

// overridesChanged is called when dynamic overrides, those of a config center,
// have changed. The framework applies them to what it is told next, and forgets
// what a provider was before: so references are told again what there is, and
// providers what they were.
func (r *Registry) overridesChanged(before []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.origins {
		o.Restore(before)
	}
	for _, s := range r.subscriptions {
		if s.governed {
			s.Again()
		}
	}
}

// Destroy ends the subscriptions and deletes what this registry registered,
// but for what has dynamic=false. The last registry of the process on this
// etcd gives up the lease and closes the connection. It waits for etcd at most
// registry.timeout. Calling it again does nothing.
func (r *Registry) Destroy() {
	r.mu.Lock()
	if r.destroyed {
		r.mu.Unlock()
		return
	}
	r.destroyed = true
	c := r.cluster
	subscriptions, cached := r.subscriptions, r.cache
	r.subscriptions, r.origins = nil, nil
	r.mu.Unlock()

	// First: what a process deletes on its way out is no news to itself, nor to
	// its cache file.
	for _, s := range subscriptions {
		s.Close()
	}
	cached.close()
	if c == nil {
		return
	}
	r.deaf()
	ctx, cancel := c.Waiting(r.cfg.Timeout)
	defer cancel()
	if err := errors.Join(r.registrations.Close(ctx), c.Release(ctx)); err != nil {
		logger.Warnf("[etcdv3] destroy the registry at %v: %v", r.cfg.Cluster.Endpoints, err)
	}
}
