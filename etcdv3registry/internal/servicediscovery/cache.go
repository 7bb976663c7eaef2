// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"sync/atomic"
	"time"

	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// cache is the instances in the local cache file, for a start without etcd. An
// application is an entry of its own: services/<application>, a name that no
// service key of an interface-level registry has. The methods of nil do nothing.
type cache struct {
	file      *cachefile.File
	endpoints []string
	root      string
	serving   atomic.Bool // it was fallen back on, and etcd has not answered since
}

// opened returns the cache; the first call opens it.
func (d *Discovery) opened() *cache {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cache == nil && d.cfg.CacheFile != "" && !d.destroyed {
		d.cache = &cache{
			file:      cachefile.Open(d.cfg.CacheFile, cachefile.Config{Immediate: d.cfg.SaveAtOnce}),
			endpoints: d.cfg.Cluster.Endpoints,
			root:      d.cfg.Root,
		}
	}
	return d.cache
}

func entryOf(application string) string { return "services/" + application }

// load returns the instances that were saved last, by this process or one
// before it, by key; ok is false if there are none, or were none.
func (c *cache) load(application string) (instances map[string]*seen, ok bool) {
	if c == nil {
		return nil, false
	}
	words, saved, ok := c.file.Get(entryOf(application))
	if !ok || len(words) == 0 {
		return nil, false
	}
	instances = map[string]*seen{}
	for _, word := range words {
		address, encoded, ok := fromCache(word)
		if !ok {
			continue // damaged
		}
		key := layout.InstancePrefix(c.root, application) + address
		if f := decode(key, encoded).(*found); f.err == nil {
			instances[key] = &seen{found: f, key: key}
		}
	}
	if !c.serving.Swap(true) {
		logger.Warnf("[etcdv3] ETCD DOES NOT ANSWER, RUNNING ON CACHED ADDRESSES: etcd at %v is away; the instances are from %s, saved %v ago; they are brought up to date when etcd answers",
			c.endpoints, c.file.Path(), time.Since(saved).Round(time.Second))
	}
	return instances, true
}

// save notes what is seen of an application, to be saved a little later.
func (c *cache) save(application string, seen *view) {
	if c == nil {
		return
	}
	if c.serving.Swap(false) {
		logger.Infof("[etcdv3] etcd at %v answers: the cached instances are brought up to date", c.endpoints)
	}
	c.file.Set(entryOf(application), seen.cached())
}

// close saves what is not saved yet.
func (c *cache) close() {
	if c != nil {
		c.file.Close()
	}
}
