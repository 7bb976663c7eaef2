// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"errors"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/lease"
)

var (
	errDestroyed = errors.New("etcdv3 registry: it has been destroyed")
	errNoURL     = errors.New("etcdv3 registry: there is no URL")
)

// Registry is the interface-level registry.
//
// Of the framework's BaseRegistry it uses the URL and the life (GetURL,
// IsAvailable, Done). What BaseRegistry does with registrations and
// subscriptions is overridden: it refuses to register a service again, which a
// provider does after an override; it has one URL to a path, where Java has a
// category and a role; it delivers one event at a time to a directory that
// takes seconds for a few thousand; and it forgets what could not be done.
type Registry struct {
	registry.BaseRegistry
	settings settings

	mu            sync.Mutex // guards what follows
	cluster       *cluster.Cluster
	destroyed     bool
	cache         *cache               // opened by the first subscription, unless there is none
	registered    map[string]lease.Key // by slot
	accepted      map[string]lease.Key // what the framework was told of no error of last
	subscriptions map[subscriptionID]subscribed
	origins       map[string]*origin // of providers that listen to overrides, by exportKey
	deaf          func()             // ends what OnOverrides began; nil before the first use
}

// newRegistry is the framework's factory. The framework calls it for every
// export, reference and shutdown and forgets all results but the first, so it
// only reads the URL: whatever costs something is shared, and acquired by the
// first use.
func newRegistry(u *common.URL) (registry.Registry, error) {
	s, err := newSettings(u, inRegistry)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		settings:      s,
		registered:    map[string]lease.Key{},
		accepted:      map[string]lease.Key{},
		subscriptions: map[subscriptionID]subscribed{},
		origins:       map[string]*origin{},
	}
	shown := withoutSecrets(u)                                 // the framework writes it to its log
	if shown.GetParam(constant.RegistryTimeoutKey, "") != "" { // the framework, which waits as long, reads no bare milliseconds
		shown.SetParam(constant.RegistryTimeoutKey, s.timeout.String())
	}
	r.InitBaseRegistry(shown, nil)
	return r, nil
}

// withoutSecrets returns a copy of an extension's URL that may be shown.
func withoutSecrets(u *common.URL) *common.URL {
	shown := u.Clone()
	shown.Password = ""
	for _, name := range []string{constant.ClientNameKey, constant.BackupKey} { // may hold the address as it was written
		if value := shown.GetParam(name, ""); value != "" {
			shown.SetParam(name, redact(value))
		}
	}
	return shown
}

// useLocked returns the cluster, acquired by the first use.
func (r *Registry) useLocked() (*cluster.Cluster, error) {
	if r.destroyed {
		return nil, errDestroyed
	}
	if r.cluster == nil {
		r.cluster = cluster.Acquire(r.settings.cluster)
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
		o.restore(before)
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
	close(r.Done())
	c := r.cluster
	registered, subscriptions, cached := r.registered, r.subscriptions, r.cache
	r.registered, r.accepted, r.subscriptions, r.origins = nil, nil, nil, nil
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
	var changes []*lease.Change
	for _, key := range registered {
		if !key.Persistent {
			changes = append(changes, c.Lease.Delete(key.Name))
		}
	}
	ctx, cancel := c.Waiting(r.settings.timeout)
	defer cancel()
	var err error
	for _, change := range changes {
		err = errors.Join(err, change.Wait(ctx))
	}
	if err = errors.Join(err, c.Release(ctx)); err != nil {
		logger.Warnf("[etcdv3] destroy the registry at %v: %v", r.settings.cluster.Endpoints, err)
	}
}
