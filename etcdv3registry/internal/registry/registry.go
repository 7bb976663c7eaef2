// SPDX-License-Identifier: Apache-2.0

// Package registry is the interface-level registry: what providers and consumers
// register, and what they are told of each other.
package registry

import (
	"errors"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
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
	user *extension.User

	mu            sync.Mutex // guards what follows
	cache         *cache     // opened by the first subscription, unless there is none
	subscriptions map[subscriptionID]subscribed
	consumers     map[string]int                // references by the slot that they are registered in
	origins       map[string]*governance.Origin // of providers that listen to overrides, by governance.ExportKey
	deaf          func()                        // ends what OnOverrides began; nil before the first subscription
}

var _ framework.Registry = (*Registry)(nil)

// New makes a registry. It does nothing before it is used.
func New(cfg extension.Config) *Registry {
	return &Registry{
		user:          extension.NewUser(cfg, registerWait(cfg.Timeout), errDestroyed),
		subscriptions: map[subscriptionID]subscribed{},
		consumers:     map[string]int{},
		origins:       map[string]*governance.Origin{},
	}
}

// GetURL returns the URL of the registry, without its password.
func (r *Registry) GetURL() *common.URL { return r.user.URL }

// IsAvailable reports whether the registry has not been destroyed: while etcd is
// away it is of use all the same.
func (r *Registry) IsAvailable() bool { return r.user.Err() == nil }

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
	if !r.user.End() {
		return
	}
	r.mu.Lock()
	subscriptions, deaf := r.subscriptions, r.deaf
	r.subscriptions, r.origins = nil, nil
	r.mu.Unlock()

	// First: what a process deletes on its way out is no news to itself, nor to
	// its cache file.
	for _, s := range subscriptions {
		s.Close()
		s.attendance.Close()
	}
	if deaf != nil {
		deaf()
	}
	if err := r.user.Close(); err != nil {
		logger.Warnf("[etcdv3] destroy the registry at %v: %v", r.user.Cluster.Endpoints, err)
	}
}
