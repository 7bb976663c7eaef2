// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	gxpage "github.com/dubbogo/gost/hash/page"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// askedFor is how much longer than the timeout an application is watched after
// it was asked for: until the framework, which asks first and listens then,
// listens. A provider that asks for its own application once a day watches
// nothing in between.
const askedFor = 10 * time.Second

// asked is what was returned of an application, for the listeners that follow.
type asked struct {
	// mixed is set when what was returned differs, or is not out of etcd, or has
	// to be told again anyhow.
	mixed atomic.Bool

	mu     sync.Mutex // guards what follows, and the view; never taken under Discovery.mu, which may be taken under it
	view   *view      // nil: it is not watched any more
	expire *time.Timer
	count  int // instances that were returned last
	// served is the revision of all that was returned. 0: nothing was yet.
	served int64
	closed bool // it is not watched again
}

// watch returns the view, kept up to date from now on for a while; nil after
// close.
func (a *asked) watch(watches *listener.Hub, prefix string, during time.Duration) *view {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil
	case a.view == nil:
		a.view = newView(watches, prefix)
		a.expire = time.AfterFunc(during, a.end)
	default:
		a.expire.Reset(during)
	}
	return a.view
}

func (a *asked) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.endLocked()
}

// end ends the watch. Whoever has the view goes on with what it has.
func (a *asked) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
}

func (a *asked) endLocked() {
	a.mixed.Store(true)
	if a.view != nil {
		a.expire.Stop()
		a.view.feed.Close()
		a.view = nil
	}
}

// isCurrent reports whether all that was returned is what there was in the
// revision.
func (a *asked) isCurrent(revision int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.mixed.Load() && a.served == revision
}

func (a *asked) returned() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

// GetInstances returns the instances of an application that are in etcd,
// enabled or not, healthy or not, in the order of their keys. The caller may
// change them.
//
// It waits for etcd at most for the timeout. If etcd is away it returns those
// of the local cache file, or none, and logs a warning; a listener is told what
// etcd has when it is back.
func (d *Discovery) GetInstances(application string) []registry.ServiceInstance {
	instances, err := d.instances(application)
	if err != nil {
		logger.Errorf("[etcdv3] cannot ask etcd at %v for the instances of %s: %v", d.cfg.Cluster.Endpoints, application, err)
		return []registry.ServiceInstance{}
	}
	return instances
}

func (d *Discovery) instances(application string) ([]registry.ServiceInstance, error) {
	c, a, err := d.ask(application)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.Waiting(d.cfg.Timeout)
	defer cancel()
	v := a.watch(c.Watches, d.prefix(application), d.cfg.Timeout+askedFor)
	if v == nil {
		return nil, cluster.ErrClosed
	}
	late := v.feed.Revision() > 0 // it was read some time ago, and may be behind etcd
	err = v.feed.Ready(ctx)

	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.mixed.Store(true)
		instances, err := d.instancesWithout(application, err)
		a.count = len(instances)
		return instances, err
	}
	revision := v.feed.Revision() // asked for before the view is brought up to date: that is as new or newer
	v.update()
	if late {
		if newer, err := d.newer(ctx, c, application, revision, v); err != nil {
			logger.Warnf("[etcdv3] instances of %s may have changed since etcd at %v was heard of last: %v", application, d.cfg.Cluster.Endpoints, err)
		} else if newer != nil {
			a.mixed.Store(true)
			a.count = len(newer)
			return newer, nil
		}
	}
	if a.served != 0 && a.served != revision {
		a.mixed.Store(true)
	}
	a.served, a.count = revision, len(v.all)
	d.opened().save(application, v)
	return v.copies(), nil
}

// newer asks etcd whether the view, of a revision, is up to date, and reads the
// instances if it is not; nil if it is.
func (d *Discovery) newer(ctx context.Context, c *cluster.Cluster, application string, revision int64, v *view) ([]registry.ServiceInstance, error) {
	client, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := client.Get(ctx, d.prefix(application), clientv3.WithPrefix(), clientv3.WithMinModRev(revision+1))
	if err != nil || len(changes.Kvs) == 0 && changes.Count == int64(v.keys()) {
		return nil, err
	}
	all, err := client.Get(ctx, d.prefix(application), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	instances := []registry.ServiceInstance{}
	for _, kv := range all.Kvs {
		if instance, err := parse(string(kv.Key), kv.Value); err == nil && isInstance(string(kv.Key), d.prefix(application)) {
			instances = append(instances, incarnationOf(instance, kv.CreateRevision))
		}
	}
	return instances, nil
}

// instancesWithout returns the instances that are known without etcd, which has
// failed with err.
func (d *Discovery) instancesWithout(application string, err error) ([]registry.ServiceInstance, error) {
	if !retry.CanPass(err) {
		return nil, err
	}
	if instances, ok := d.opened().load(application); ok {
		return instances, nil
	}
	logger.Warnf("[etcdv3] there are no instances of %s yet: etcd at %v has not answered, a listener is told of them when it does: %v",
		application, d.cfg.Cluster.Endpoints, err)
	return []registry.ServiceInstance{}, nil
}

// ask returns what was returned of an application, and notes that there may be
// a listener that has to hear of overrides.
func (d *Discovery) ask(application string) (*cluster.Cluster, *asked, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil || d.destroyed {
		return nil, nil, cluster.ErrClosed
	}
	d.hearLocked(c)
	a := d.asked[application]
	if a == nil {
		a = &asked{}
		d.asked[application] = a
	}
	return c, a, nil
}

func (d *Discovery) prefix(application string) string {
	return d.cfg.Root + "/" + application + "/"
}

// GetServices returns the names of all applications that have an instance in
// etcd, of whichever process. It waits for etcd at most for the timeout; if etcd
// is away it returns those that this process has registered.
func (d *Discovery) GetServices() *gxset.HashSet {
	names := gxset.NewSet()
	d.mu.Lock()
	for name := range d.registered {
		application, _ := split(name)
		names.Add(application)
	}
	d.mu.Unlock()
	keys, err := d.keys()
	if err != nil {
		logger.Warnf("[etcdv3] cannot list the applications in etcd at %v: %v", d.cfg.Cluster.Endpoints, err)
		return names
	}
	names = gxset.NewSet()
	for _, key := range keys {
		if application, address := split(key); d.prefix(application)+address == key {
			names.Add(application)
		}
	}
	return names
}

func (d *Discovery) keys() ([]string, error) {
	c, err := d.user.Get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.Waiting(d.cfg.Timeout)
	defer cancel()
	var keys []string
	err = retry.Do(ctx, d.cfg.Cluster.Retry, func(ctx context.Context) error {
		client, err := c.Client(ctx)
		if err != nil {
			return err
		}
		response, err := client.Get(ctx, d.cfg.Root+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		for _, kv := range response.Kvs {
			keys = append(keys, string(kv.Key))
		}
		return nil
	})
	return keys, err
}

// GetDefaultPageSize is the framework's default.
func (d *Discovery) GetDefaultPageSize() int { return registry.DefaultPageSize }

// GetInstancesByPage returns the instances from offset on, in the order of their
// keys, at most pageSize of them. A page size below 1 is the default.
func (d *Discovery) GetInstancesByPage(application string, offset, pageSize int) gxpage.Pager {
	return pageOf(d.GetInstances(application), offset, pageSize)
}

// GetHealthyInstancesByPage is GetInstancesByPage of the instances that are
// healthy, or, with false, of those that are not.
func (d *Discovery) GetHealthyInstancesByPage(application string, offset, pageSize int, healthy bool) gxpage.Pager {
	var matching []registry.ServiceInstance
	for _, instance := range d.GetInstances(application) {
		if instance.IsHealthy() == healthy {
			matching = append(matching, instance)
		}
	}
	return pageOf(matching, offset, pageSize)
}

// GetRequestInstances is GetInstancesByPage for several applications, by their
// names.
func (d *Discovery) GetRequestInstances(applications []string, offset, requestedSize int) map[string]gxpage.Pager {
	pages := make(map[string]gxpage.Pager, len(applications))
	for _, application := range applications {
		pages[application] = d.GetInstancesByPage(application, offset, requestedSize)
	}
	return pages
}

func pageOf(instances []registry.ServiceInstance, offset, size int) gxpage.Pager {
	if size < 1 {
		size = registry.DefaultPageSize
	}
	offset = max(offset, 0)
	from := min(offset, len(instances))
	page := make([]any, 0, min(size, len(instances)-from))
	for _, instance := range instances[from:min(from+size, len(instances))] {
		page = append(page, instance)
	}
	return gxpage.NewPage(offset, size, page, len(instances))
}
