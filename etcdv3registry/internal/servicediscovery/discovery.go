// SPDX-License-Identifier: Apache-2.0

// Package servicediscovery is application-level discovery: one key for each
// instance of an application, as org.apache.dubbo.registry.etcd.EtcdServiceDiscovery
// and dubbo-go's built-in service discovery write it:
//
//	/services/<application>/<host>:<port>    under the lease; the value is JSON
package servicediscovery

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

// Metadata asks for what an instance serves: of a revision, of an application. It is
// called from several goroutines, and may take seconds.
type Metadata func(application, revision string, instance registry.ServiceInstance) (*info.MetadataInfo, error)

// Discovery is a registry.ServiceDiscovery. The framework makes one for every
// reference and destroys none: it costs nothing until it is used, and what costs
// is shared. Its methods may be called from any goroutine.
type Discovery struct {
	user     *extension.User
	metadata Metadata
	asking   sync.WaitGroup // for metadata
	slots    chan struct{}  // has a value for each instance that is being asked
	patience Patience

	mu        sync.Mutex           // guards what follows
	snapshots map[string]*snapshot // by application
	listening map[registry.ServiceInstancesChangedListener]*listening
	followed  map[string]*application // by name: those that have a feed
	deaf      func()                  // ends what hearLocked began; nil: nobody listens
}

var _ registry.ServiceDiscovery = (*Discovery)(nil)

// New returns a Discovery. It does no I/O.
func New(cfg extension.Config, metadata Metadata) *Discovery {
	cluster.AnnounceInstance(cfg.Cluster)
	return &Discovery{
		user:      extension.NewUser(cfg, cfg.Timeout, extension.ErrClosed),
		metadata:  metadata,
		snapshots: map[string]*snapshot{},
		listening: map[registry.ServiceInstancesChangedListener]*listening{},
		followed:  map[string]*application{},
		slots:     make(chan struct{}, atOnce),
	}
}

// String names it in a log.
func (d *Discovery) String() string {
	return fmt.Sprintf("etcdv3 service discovery at %v", d.user.Cluster.Endpoints)
}

// Register puts the instance's key into etcd, and keeps it there until
// Unregister or Destroy. An instance that is registered already, with other
// metadata, is updated: its key gets another value.
//
// It waits for etcd at most for the timeout. If etcd is away it returns nil,
// logs a warning, and the key is put when etcd is back; with check=true that is
// an error. What etcd refuses (permission, credentials) is always an error. After
// an error what was registered before stays.
//
// It begins with what metadata reports of this process have put off: an instance
// is not to be seen before its mappings and its metadata. What becomes of them is
// an error as it would have been one of theirs.
func (d *Discovery) Register(instance registry.ServiceInstance) error {
	return failed("register", instance, d.register(instance))
}

// Update is Register.
func (d *Discovery) Update(instance registry.ServiceInstance) error {
	return failed("update", instance, d.register(instance))
}

func (d *Discovery) register(instance registry.ServiceInstance) error {
	key, err := keyOf(d.user.Root, instance)
	if err != nil {
		return err
	}
	c, err := d.user.Get()
	if err != nil {
		return err
	}
	if err = c.PrepareInstance(); err != nil {
		return err
	}
	return d.user.Registrations.Register(desired.Registration{Slot: key.Name, Key: key, Name: describe(instance)})
}

// Unregister deletes the instance's key. An instance that is not registered is
// ignored. It waits for etcd as Register does; if etcd is away the key is
// deleted when it is back, or goes with the lease.
func (d *Discovery) Unregister(instance registry.ServiceInstance) error {
	name, err := nameOf(d.user.Root, instance)
	if err == nil {
		err = d.user.Registrations.Unregister(desired.Registration{Slot: name, Key: desired.Key{Name: name}, Name: describe(instance)})
	}
	return failed("unregister", instance, err)
}

// failed says what has failed; nil: nothing has.
func failed(what string, instance registry.ServiceInstance, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("etcdv3 service discovery: %s %s: %w", what, describe(instance), err)
}

// Destroy ends the listeners and deletes what this Discovery registered. The
// last user of this etcd in the process gives up the lease and closes the
// connection. It waits for etcd at most for the timeout, and for instances that
// are being asked for metadata, which the framework gives some seconds. Calling it
// again does nothing.
func (d *Discovery) Destroy() error {
	if !d.user.End() {
		return nil
	}
	d.mu.Lock()
	for _, a := range d.snapshots {
		a.endLocked()
	}
	listening, followed, deaf := slices.Collect(maps.Values(d.listening)), d.followed, d.deaf
	for _, l := range listening {
		l.ended = true
	}
	d.snapshots, d.followed = nil, nil
	d.mu.Unlock()

	if deaf != nil {
		deaf()
	}
	for _, l := range listening {
		l.close()
	}
	d.mu.Lock()
	d.listening = nil
	d.mu.Unlock()
	for _, a := range followed {
		a.close()
	}
	d.asking.Wait()
	if err := d.user.Close(); err != nil {
		return fmt.Errorf("etcdv3 service discovery: destroy: %w", err)
	}
	return nil
}

// describe names an instance in an error or the log: "instance 10.0.0.7:20000
// of greeter".
func describe(instance registry.ServiceInstance) string {
	if instance == nil {
		return "nothing"
	}
	return fmt.Sprintf("instance %s:%d of %s", instance.GetHost(), instance.GetPort(), instance.GetServiceName())
}

// OnOverrides has f called when the framework has been told of other dynamic
// overrides than before, which it applies to what it is told next. What holds for
// f of cluster.OnOverrides holds here.
func (d *Discovery) OnOverrides(f func()) (undo func(), err error) {
	c, err := d.user.Get()
	if err != nil {
		return nil, err
	}
	return c.OnOverrides(func([]string) { f() }), nil
}

// Timeout is how long a call of the framework waits for etcd.
func (d *Discovery) Timeout() time.Duration { return d.user.Timeout }

// Patience is that of all references of this Discovery.
func (d *Discovery) Patience() *Patience { return &d.patience }

// forgiven is after how long waits in vain are forgotten.
const forgiven = 30 * time.Second

// Patience is how long a process that starts waits for what does not come: not
// for each reference, but in all. The zero value is ready.
type Patience struct {
	mu    sync.Mutex // guards what follows
	spent time.Duration
	last  time.Time
}

// Left is how much is left of a time.
func (p *Patience) Left(of time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) > forgiven {
		p.spent = 0
	}
	return max(0, of-p.spent)
}

// Spend notes a wait in vain.
func (p *Patience) Spend(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += d
	p.last = time.Now()
}
