// SPDX-License-Identifier: Apache-2.0

// Package servicediscovery is application-level discovery: one key for each
// instance of an application, as org.apache.dubbo.registry.etcd.EtcdServiceDiscovery
// and dubbo-go's built-in service discovery write it:
//
//	/services/<application>/<host>:<port>    under the lease; the value is JSON
package servicediscovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/lease"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Config is what a Discovery needs.
type Config struct {
	Cluster cluster.Config
	Root    string        // what every key begins with: "/services", "/tenant/services"
	Timeout time.Duration // how long a call of the framework waits for etcd
	Check   bool          // an etcd that is away is an error, instead of going on without
	// KeepLast has a listener keep the last instances of an application when all
	// of them are gone, until there are some again.
	KeepLast   bool
	CacheFile  string // path; empty: there is none
	SaveAtOnce bool   // the cache file is saved with every change
}

// Discovery is a registry.ServiceDiscovery. The framework makes one for every
// reference and destroys none: it costs nothing until it is used, and what costs
// is shared. Its methods may be called from any goroutine.
type Discovery struct {
	cfg  Config
	user *cluster.User

	mu         sync.Mutex // guards what follows
	destroyed  bool
	registered map[string]lease.Key // by name
	accepted   map[string]lease.Key // what the caller was told of no error of last
	asked      map[string]*asked    // by application
	listening  map[registry.ServiceInstancesChangedListener]*listening
	cache      *cache // nil: there is none, or it has not been used yet
	deaf       func() // ends what OnOverrides began; nil: nobody listens
}

var _ registry.ServiceDiscovery = (*Discovery)(nil)

// New returns a Discovery. It does no I/O.
func New(cfg Config) *Discovery {
	return &Discovery{
		cfg:        cfg,
		user:       cluster.NewUser(cfg.Cluster),
		registered: map[string]lease.Key{},
		accepted:   map[string]lease.Key{},
		asked:      map[string]*asked{},
		listening:  map[registry.ServiceInstancesChangedListener]*listening{},
	}
}

// String names it in a log.
func (d *Discovery) String() string {
	return fmt.Sprintf("etcdv3 service discovery at %v", d.cfg.Cluster.Endpoints)
}

// Register puts the instance's key into etcd, and keeps it there until
// Unregister or Destroy. An instance that is registered already, with other
// metadata, is updated: its key gets another value.
//
// It waits for etcd at most for the timeout. If etcd is away it returns nil,
// logs a warning, and the key is put when etcd is back; with check=true that is
// an error. What etcd refuses (permission, credentials) is always an error. After
// an error what was registered before stays.
func (d *Discovery) Register(instance registry.ServiceInstance) error {
	if err := d.register(instance); err != nil {
		return fmt.Errorf("etcdv3 service discovery: register %s: %w", describe(instance), err)
	}
	return nil
}

// Update is Register.
func (d *Discovery) Update(instance registry.ServiceInstance) error {
	if err := d.register(instance); err != nil {
		return fmt.Errorf("etcdv3 service discovery: update %s: %w", describe(instance), err)
	}
	return nil
}

func (d *Discovery) register(instance registry.ServiceInstance) error {
	key, err := keyOf(d.cfg.Root, instance)
	if err != nil {
		return err
	}
	c, change, err := d.want(key)
	if err != nil {
		return err
	}
	ctx, cancel := c.Waiting(d.cfg.Timeout)
	defer cancel()
	switch err = change.Wait(ctx); {
	case err == nil:
		d.accept(key)
		return nil
	case retry.CanPass(err) && !d.cfg.Check:
		d.accept(key)
		logger.Warnf("[etcdv3] %s is not registered yet, it will be as soon as etcd at %v takes it: %v", describe(instance), d.cfg.Cluster.Endpoints, err)
		return nil
	default:
		d.undo(key)
		return err
	}
}

// want notes the key as registered and starts the change that makes it so.
func (d *Discovery) want(key lease.Key) (*cluster.Cluster, *lease.Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil || d.destroyed {
		return nil, nil, cluster.ErrClosed
	}
	_, registered := d.registered[key.Name]
	d.registered[key.Name] = key
	if registered {
		return c, c.Lease.Replace(key.Name, key), nil
	}
	return c, c.Lease.Put(key), nil
}

// accept notes that the caller was told of no error.
func (d *Discovery) accept(key lease.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.registered[key.Name] == key {
		d.accepted[key.Name] = key
	}
}

// undo restores what was accepted last, unless the key was registered anew
// meanwhile.
func (d *Discovery) undo(key lease.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if d.registered[key.Name] != key || err != nil {
		return
	}
	if before, ok := d.accepted[key.Name]; ok {
		d.registered[key.Name] = before
		c.Lease.Replace(key.Name, before)
		return
	}
	delete(d.registered, key.Name)
	c.Lease.Delete(key.Name)
}

// unwant takes a key back. It returns nil for one that is not registered.
func (d *Discovery) unwant(name string) (*cluster.Cluster, *lease.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if _, registered := d.registered[name]; !registered || err != nil {
		return nil, nil
	}
	delete(d.registered, name)
	delete(d.accepted, name)
	return c, c.Lease.Delete(name)
}

// Unregister deletes the instance's key. An instance that is not registered is
// ignored. It waits for etcd as Register does; if etcd is away the key is
// deleted when it is back, or goes with the lease.
func (d *Discovery) Unregister(instance registry.ServiceInstance) error {
	name, err := nameOf(d.cfg.Root, instance)
	if err != nil {
		return fmt.Errorf("etcdv3 service discovery: unregister %s: %w", describe(instance), err)
	}
	switch err = d.unregister(name); {
	case err == nil:
		return nil
	case retry.CanPass(err) && !d.cfg.Check:
		logger.Warnf("[etcdv3] %s is still registered, it will not be as soon as etcd at %v takes that: %v", describe(instance), d.cfg.Cluster.Endpoints, err)
		return nil
	default:
		return fmt.Errorf("etcdv3 service discovery: unregister %s: %w", describe(instance), err)
	}
}

func (d *Discovery) unregister(name string) error {
	c, change := d.unwant(name)
	if change == nil {
		return nil
	}
	ctx, cancel := c.Waiting(d.cfg.Timeout)
	defer cancel()
	return change.Wait(ctx)
}

// Destroy ends the listeners and deletes what this Discovery registered. The
// last user of this etcd in the process gives up the lease and closes the
// connection. It waits for etcd at most for the timeout. Calling it again does
// nothing.
func (d *Discovery) Destroy() error {
	d.mu.Lock()
	if d.destroyed {
		d.mu.Unlock()
		return nil
	}
	d.destroyed = true
	names, asked, listening := d.registered, d.asked, d.listening
	d.registered, d.asked, d.listening = nil, nil, nil
	cache, deaf := d.cache, d.deaf
	d.mu.Unlock()

	if deaf != nil {
		deaf()
	}
	for _, l := range listening {
		l.close()
	}
	for _, a := range asked {
		a.close()
	}
	cache.close()
	err := d.giveUp(names)
	if err != nil {
		return fmt.Errorf("etcdv3 service discovery: destroy: %w", err)
	}
	return nil
}

func (d *Discovery) giveUp(names map[string]lease.Key) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Timeout)
	defer cancel()
	var changes []*lease.Change
	if len(names) > 0 {
		c, err := d.user.Get()
		if err != nil {
			return err
		}
		for name := range names {
			changes = append(changes, c.Lease.Delete(name))
		}
	}
	var err error
	for _, change := range changes {
		err = errors.Join(err, change.Wait(ctx))
	}
	return errors.Join(err, d.user.Close(ctx))
}

// describe names an instance in an error or the log: "instance 10.0.0.7:20000
// of greeter".
func describe(instance registry.ServiceInstance) string {
	if instance == nil {
		return "nothing"
	}
	return fmt.Sprintf("instance %s:%d of %s", instance.GetHost(), instance.GetPort(), instance.GetServiceName())
}
