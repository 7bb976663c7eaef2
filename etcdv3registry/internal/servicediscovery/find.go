// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	gxpage "github.com/dubbogo/gost/hash/page"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// askedFor is how much longer than the timeout an application is watched after
// it was asked for: until the framework, which asks first and listens then,
// listens. A provider that asks for its own application once a day watches
// nothing in between.
const askedFor = 10 * time.Second

// snapshot is what was returned of an application, for the listeners that follow. It
// is guarded by Discovery.mu.
type snapshot struct {
	feed   *listener.Feed // has the application watched for a while; nil: it is not any more
	expire *time.Timer

	// mixed is set when what was returned differs, or is not out of etcd, or has to be
	// told again anyhow.
	mixed  bool
	served int64 // the revision of all that was returned; 0: nothing was yet
	count  int   // instances that were returned last
}

// endLocked ends the watch.
func (a *snapshot) endLocked() {
	a.mixed = true
	if a.feed != nil {
		a.expire.Stop()
		a.feed.Close()
		a.feed = nil
	}
}

// isCurrent reports whether all that was returned is what there was in the
// revision.
func (d *Discovery) isCurrent(a *snapshot, revision int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !a.mixed && a.served == revision
}

// GetInstances returns the instances of an application that are in etcd,
// enabled or not, healthy or not, in the order of their keys. The caller may
// change them.
//
// It waits for etcd at most for the timeout. If etcd is away it returns those
// of the local cache file, or none, and logs a warning; a listener is told what
// etcd has when it is back.
func (d *Discovery) GetInstances(application string) []registry.ServiceInstance {
	c, a, v := d.ask(application)
	if a == nil {
		logger.Errorf("[etcdv3] cannot ask etcd at %v for the instances of %s: %v", d.user.Cluster.Endpoints, application, extension.ErrClosed)
		return []registry.ServiceInstance{}
	}
	defer v.feed.Close()
	ctx, cancel := c.Waiting(d.user.Timeout)
	defer cancel()
	late := v.feed.Revision() > 0 // it was read some time ago, and may be behind etcd
	if err := v.feed.Ready(ctx); err != nil {
		return d.returns(a, 0, copiesOf(d.without(application, err)))
	}
	revision := v.feed.Revision()
	v.update()
	if late {
		if newer, err := d.newer(ctx, c, application, revision, len(v.all)+len(v.others)); err != nil {
			logger.Warnf("[etcdv3] instances of %s may have changed since etcd at %v was heard of last: %v", application, d.user.Cluster.Endpoints, err)
		} else if newer != nil {
			return d.returns(a, 0, newer)
		}
	}
	if len(v.all) > 0 || !d.user.KeepLast { // a listener may keep the last ones, and the file with it
		d.save(application, v)
	}
	return d.returns(a, revision, copiesOf(v.all))
}

// returns notes what is returned, as there was in a revision or later; 0: it is not
// what a listener hears of.
func (d *Discovery) returns(a *snapshot, revision int64, instances []registry.ServiceInstance) []registry.ServiceInstance {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.mixed = a.mixed || revision == 0 || a.served != 0 && a.served != revision
	a.served, a.count = revision, len(instances)
	return instances
}

// newer asks etcd whether a view, of a revision and with so many keys, is up to
// date, and reads the instances if it is not; nil if it is.
func (d *Discovery) newer(ctx context.Context, c *cluster.Cluster, application string, revision int64, keys int) ([]registry.ServiceInstance, error) {
	client, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := client.Get(ctx, d.prefix(application), clientv3.WithPrefix(), clientv3.WithMinModRev(revision+1))
	if err != nil || len(changes.Kvs) == 0 && changes.Count == int64(keys) {
		return nil, err
	}
	all, err := client.Get(ctx, d.prefix(application), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	instances := []registry.ServiceInstance{}
	for _, kv := range all.Kvs {
		if instance, err := parse(string(kv.Key), kv.Value); err == nil && layout.IsInstance(string(kv.Key), d.prefix(application)) {
			instances = append(instances, incarnationOf(instance, kv.CreateRevision))
		}
	}
	return instances, nil
}

// without returns the instances that are known without etcd, which has failed
// with err: those that the cache file has, or none.
func (d *Discovery) without(application string, err error) map[string]*seen {
	if !retry.CanPass(err) {
		logger.Errorf("[etcdv3] cannot ask etcd at %v for the instances of %s: %v", d.user.Cluster.Endpoints, application, err)
		return nil
	}
	all, ok := d.load(application)
	if !ok {
		logger.Warnf("[etcdv3] there are no instances of %s yet: etcd at %v has not answered, they follow when it does: %v",
			application, d.user.Cluster.Endpoints, err)
	}
	return all
}

// ask returns what was returned of an application, and a view of it, has it watched
// for a while, and notes that there may be a listener that has to hear of
// overrides. After Destroy it returns nothing.
func (d *Discovery) ask(application string) (*cluster.Cluster, *snapshot, *view) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil {
		return nil, nil, nil
	}
	d.hearLocked(c)
	a := d.snapshots[application]
	if a == nil {
		a = &snapshot{}
		d.snapshots[application] = a
	}
	if during := d.user.Timeout + askedFor; a.feed != nil {
		a.expire.Reset(during)
	} else {
		a.feed = c.Watches.Open(d.prefix(application))
		a.expire = time.AfterFunc(during, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			a.endLocked()
		})
	}
	return c, a, newView(c.Watches, d.prefix(application))
}

func (d *Discovery) prefix(application string) string {
	return layout.InstancePrefix(d.user.Root, application)
}

// GetServices returns the names of all applications that have an instance in
// etcd, of whichever process. It waits for etcd at most for the timeout; if etcd
// is away it returns those that this process has registered.
func (d *Discovery) GetServices() *gxset.HashSet {
	names := gxset.NewSet()
	for _, name := range d.user.Registrations.Slots() {
		application, _ := layout.SplitInstance(name)
		names.Add(application)
	}
	keys, err := d.keys()
	if err != nil {
		logger.Warnf("[etcdv3] cannot list the applications in etcd at %v: %v%s", d.user.Cluster.Endpoints, err, rights.ToPrefix(rights.Read, d.user.Root+"/", err))
		return names
	}
	names = gxset.NewSet()
	for _, key := range keys {
		if application, address := layout.SplitInstance(key); d.prefix(application)+address == key {
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
	ctx, cancel := c.Waiting(d.user.Timeout)
	defer cancel()
	var keys []string
	err = c.Ask(ctx, d.user.Cluster.Retry, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Get(ctx, d.user.Root+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
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
	n := min(size, len(instances)-from) // the caller may ask for any number
	page := make([]any, 0, n)
	for _, instance := range instances[from : from+n] {
		page = append(page, instance)
	}
	return gxpage.NewPage(offset, size, page, len(instances))
}
