// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"
	"maps"
	"slices"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// application is what this process knows of the instances of one application:
// a mirror of their keys, and the metadata that says what they serve. All
// references of a Discovery share it.
//
// What is not known yet takes nothing away: an instance that changes goes on as
// it was until the metadata of its new revision is there.
type application struct {
	name      string
	discovery *Discovery
	readers   int // guarded by Discovery.mu

	ctx    context.Context // ends with the last reader
	cancel context.CancelFunc
	view   *view // that only the worker reads
	worker *delivery.Worker

	mu        sync.Mutex // guards what follows
	listed    bool       // by etcd or, without it, by the cache file
	kept      bool       // etcd has none any more, see Config.KeepLast
	instances map[string]*seen
	serving   map[string]*Provider           // by key: what readers see
	naming    map[string]map[string]struct{} // keys in serving by the addresses of others that they name
	revisions map[string]*revision           // of instances
	feeds     map[*Feed]struct{}
}

func newApplication(d *Discovery, name string) *application {
	ctx, cancel := context.WithCancel(context.Background())
	return &application{
		name: name, discovery: d, ctx: ctx, cancel: cancel,
		instances: map[string]*seen{},
		serving:   map[string]*Provider{},
		naming:    map[string]map[string]struct{}{},
		revisions: map[string]*revision{},
		feeds:     map[*Feed]struct{}{},
	}
}

// follow keeps the application up to date, until the last reader has left.
func (a *application) follow(c *cluster.Cluster) {
	a.view = newView(c.Watches, a.discovery.prefix(a.name))
	a.worker = delivery.NewWorker(a.view.feed, delivery.Reader{Name: nameInLog(a.name), Update: a.update})
	a.view.feed.Go(func() {
		waiting, cancel := c.Waiting(a.discovery.user.Timeout)
		defer cancel()
		defer context.AfterFunc(a.ctx, cancel)()
		if err := a.view.feed.Ready(waiting); err != nil && a.ctx.Err() == nil {
			all := a.discovery.without(a.name, err)
			a.take(all, slices.Collect(maps.Keys(all)))
		}
		a.worker.Start(0)
	})
}

// close ends it, and waits for what is being taken in. Nobody is asked for
// metadata from then on.
func (a *application) close() {
	a.mu.Lock()
	a.cancel()
	a.mu.Unlock()
	a.worker.Close()
}

// update takes in what has changed in etcd.
func (a *application) update() {
	whole := !a.worker.Delivered()
	changed, news := a.view.update()
	if whole { // what there was before is out of the cache, or nothing
		changed = append(changed, a.keys()...)
	}
	if kept := a.take(a.view.all, changed); !kept && (whole || news) {
		a.discovery.save(a.name, a.view)
	}
}

func (a *application) keys() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.instances))
}

// take takes in the keys that have changed out of all that there are, or keeps
// what was there, if nothing is any more, or it has ended.
func (a *application) take(all map[string]*seen, changed []string) (kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		return true
	}
	defer a.signalLocked()
	a.listed = true
	switch kept = a.discovery.user.KeepLast && len(all) == 0 && len(a.instances) > 0; {
	case kept && !a.kept:
		a.kept = true
		logger.Warnf("[etcdv3] all instances of %s are gone from etcd: the last %d are kept (enable-empty-protection)", a.name, len(a.instances))
		return true
	case kept:
		return true
	case a.kept:
		a.kept = false
		changed = append(changed, slices.Collect(maps.Keys(a.instances))...)
	}
	for _, key := range changed {
		before, now := a.instances[key], all[key]
		if before == now {
			continue
		}
		if now != nil {
			a.instances[key] = now
			a.resolveLocked(key, now)
		} else {
			delete(a.instances, key)
			a.serveLocked(key, nil)
		}
		if before != nil { // after it has joined another one, which may be the same
			a.leaveLocked(key, before)
		}
		if before == nil || now == nil {
			a.siblingsLocked(key)
		}
	}
	return false
}

// resolveLocked has an instance serve what its metadata says, if that is known;
// else it is asked for, and the instance goes on as it was.
func (a *application) resolveLocked(key string, s *seen) {
	name := s.instance.Metadata[constant.ExportedServicesRevisionPropertyName]
	if name == "" || name == noRevision {
		a.serveLocked(key, nil)
		return
	}
	r := a.revisions[name]
	if r == nil {
		r = newRevision(a, name)
		a.revisions[name] = r
		a.discovery.asking.Go(r.run)
	}
	r.instances[key] = s
	if r.services != nil {
		a.serveLocked(key, NewProvider(s.instance, s.created, r.services))
		return
	}
	delivery.Signal(r.joined)
}

// leaveLocked takes an instance, as it was, out of its revision, and ends the
// asking for a revision that no instance has any more.
func (a *application) leaveLocked(key string, before *seen) {
	name := before.instance.Metadata[constant.ExportedServicesRevisionPropertyName]
	r := a.revisions[name]
	if r == nil {
		return
	}
	if r.instances[key] == before {
		delete(r.instances, key)
	}
	if len(r.instances) == 0 {
		r.cancel()
		delete(a.revisions, name)
	}
}

// noRevision is that of an instance that serves nothing
// (org.apache.dubbo.metadata.RevisionResolver.EMPTY_REVISION).
const noRevision = "0"

// serveLocked notes what a key serves from now on; nil: nothing.
func (a *application) serveLocked(key string, p *Provider) {
	before := a.serving[key]
	if before == nil && p == nil {
		return
	}
	if before != nil {
		for _, address := range before.others() {
			if delete(a.naming[address], key); len(a.naming[address]) == 0 {
				delete(a.naming, address)
			}
		}
	}
	if p != nil {
		a.serving[key] = p
		for _, address := range p.others() {
			if a.naming[address] == nil {
				a.naming[address] = map[string]struct{}{}
			}
			a.naming[address][key] = struct{}{}
		}
	} else {
		delete(a.serving, key)
	}
	a.dirtyLocked(key)
}

func (a *application) dirtyLocked(key string) {
	for f := range a.feeds {
		f.dirty[key] = struct{}{}
	}
}

// siblingsLocked has the readers look again at those who name an endpoint that a
// key, which came or went, is the instance of.
func (a *application) siblingsLocked(key string) {
	_, address := layout.SplitInstance(key)
	for other := range a.naming[address] {
		a.dirtyLocked(other)
	}
}

// known notes what a revision serves, and has its instances serve it.
func (a *application) known(r *revision, services map[string]*info.ServiceInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.services = services
	for key, s := range r.instances {
		a.serveLocked(key, NewProvider(s.instance, s.created, services))
	}
	a.signalLocked()
}

// tried notes that a revision has been asked for in vain.
func (a *application) tried(r *revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !r.tried {
		r.tried = true
		a.signalLocked()
	}
}

func (a *application) signalLocked() {
	for f := range a.feeds {
		delivery.Signal(f.changed)
	}
}
