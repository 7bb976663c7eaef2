// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// A change is saved after 500 ms, as in
// org.apache.dubbo.registry.support.AbstractRegistry: the URLs are made of the
// keys, once for all changes, late in that time.
const (
	collectDelay = 450 * time.Millisecond
	fileDelay    = 50 * time.Millisecond
)

// cache is the local cache file as one registry uses it: what its listeners
// were told, by service, for a start without etcd.
//
// The file has the URLs of all categories of a service under one service key,
// as Java's has. Several subscriptions may be of the same service (a consumer's
// to the providers, a provider's to the overrides): what they know is joined, and
// of categories of which nobody has heard from etcd, what the file has stays.
type cache struct {
	file      *cachefile.File
	endpoints []string
	root      string
	atOnce    bool

	saving   sync.Mutex                                 // one save at a time, in order; taken before mu
	mu       sync.Mutex                                 // guards what follows
	services map[string]map[*cachedList]func() []string // nil: etcd has not been heard of
	changed  map[string]bool                            // services that are not saved yet
	timer    *time.Timer                                // runs while there are some
	serving  bool                                       // it was fallen back on, and etcd has not answered since
	closed   bool
}

// openCache opens the cache file of a registry; nil if there is to be none.
func openCache(cfg Config, application string) *cache {
	path := cfg.CachePath(application)
	if path == "" {
		return nil
	}
	return &cache{
		file:      cachefile.Open(path, cachefile.Config{Immediate: cfg.SaveAtOnce, Delay: fileDelay}),
		endpoints: cfg.Cluster.Endpoints,
		root:      cfg.Root,
		atOnce:    cfg.SaveAtOnce,
		services:  map[string]map[*cachedList]func() []string{},
		changed:   map[string]bool{},
	}
}

// list returns the part of the cache that belongs to one subscription. It is
// nil for a subscription to all services, and where there is no cache.
func (c *cache) list(u *common.URL, q query) *cachedList {
	if c == nil || q.service == constant.AnyValue {
		return nil
	}
	l := &cachedList{cache: c, service: u.ServiceKey(), prefix: layout.ServicePrefix(c.root, q.service), covers: q.wantsCategory}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.services[l.service] == nil {
		c.services[l.service] = map[*cachedList]func() []string{}
	}
	c.services[l.service][l] = nil
	return l
}

// save converts and hands over what has changed; it runs in its own goroutine,
// or in that of a delivery if everything is to be saved at once.
func (c *cache) save() {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	changed := c.changed
	c.changed, c.timer = map[string]bool{}, nil
	lists := map[string]map[*cachedList]func() []string{}
	for service := range changed {
		lists[service] = maps.Clone(c.services[service])
	}
	c.mu.Unlock()
	for service, all := range lists {
		urls := c.unheard(service, all)
		for _, keys := range all {
			if keys == nil {
				continue
			}
			for _, key := range keys() {
				urls = append(urls, cachedURL(c.root, key))
			}
		}
		slices.Sort(urls)
		c.file.Set(service, slices.Compact(urls))
	}
}

// unheard returns what the file has of categories that no subscription has heard
// of from etcd, or that one is about which has not.
func (c *cache) unheard(service string, lists map[*cachedList]func() []string) []string {
	saved, _, _ := c.file.Get(service)
	return slices.DeleteFunc(saved, func(u string) bool {
		category, _, _ := strings.Cut(cachedSegment(u), "/")
		heard := false
		for l, keys := range lists {
			if !l.covers(category) {
				continue
			}
			if keys == nil {
				return false
			}
			heard = true
		}
		return heard
	})
}

// close saves what is not saved yet.
func (c *cache) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.save()
	c.file.Close()
}

// cachedList is the part of the cache that belongs to one subscription. It is
// a listener.Cache.
type cachedList struct {
	cache   *cache
	service string // the key in the file
	prefix  string // of the service's keys in etcd
	covers  func(category string) bool
	ended   bool // guarded by cache.mu
}

var _ listener.Cache = (*cachedList)(nil)

// Load returns the keys that the cached URLs of the service had, or would have.
func (l *cachedList) Load() (keys []string, ok bool) {
	urls, saved, ok := l.cache.file.Get(l.service)
	if !ok {
		return nil, false
	}
	for _, u := range urls {
		keys = append(keys, l.prefix+cachedSegment(u))
	}
	c := l.cache
	c.mu.Lock()
	first := !c.serving
	c.serving = true
	c.mu.Unlock()
	if first {
		logger.Warnf("[etcdv3] ETCD DOES NOT ANSWER, RUNNING ON CACHED ADDRESSES: etcd at %v is away; the addresses are from %s, saved %v ago; they are brought up to date when etcd answers",
			c.endpoints, c.file.Path(), time.Since(saved).Round(time.Second))
	}
	return keys, true
}

// Save notes what the listener knows, to be saved a little later.
func (l *cachedList) Save(keys func() []string) {
	c := l.cache
	c.mu.Lock()
	if c.closed || l.ended {
		c.mu.Unlock()
		return
	}
	if c.serving {
		c.serving = false
		logger.Infof("[etcdv3] etcd at %v answers: the cached addresses are brought up to date", c.endpoints)
	}
	c.services[l.service][l] = keys
	c.changed[l.service] = true
	if !c.atOnce && c.timer == nil {
		c.timer = time.AfterFunc(collectDelay, c.save)
	}
	c.mu.Unlock()
	if c.atOnce {
		c.save()
	}
}

// end forgets what the subscription knew; the file keeps it, for the next time.
func (l *cachedList) end() {
	if l == nil {
		return
	}
	c := l.cache
	c.mu.Lock()
	pending := c.changed[l.service]
	c.mu.Unlock()
	if pending {
		c.save()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.ended = true // a delivery that unsubscribes saves after this
	delete(c.services[l.service], l)
	if len(c.services[l.service]) == 0 {
		delete(c.services, l.service)
	}
}

// space separates URLs in the file.
const space = " \t\r\n\f\v"

// cachedURL is the URL of a key as it stands in the file: decoded, as Java
// writes it, with the category that only the key has. One that holds white space
// stays encoded, as does one that says to be of another category than its key.
func cachedURL(root, key string) string {
	category, encoded, _ := layout.Split(root, key)
	raw, err := url.QueryUnescape(encoded)
	if err == nil && strings.ContainsAny(encoded, space) {
		encoded = layout.Encode(raw)
	}
	asItIs := category + "/" + encoded
	if err != nil || strings.ContainsAny(raw, space) {
		return asItIs
	}
	if !isSavedAs(category, raw) {
		separator := "?"
		if strings.Contains(raw, "?") {
			separator = "&"
		}
		raw += separator + constant.CategoryKey + "=" + category
	}
	if !isSavedAs(category, raw) {
		return asItIs
	}
	return raw
}

// isSavedAs reports whether a URL in the file is read as one of a category.
func isSavedAs(category, cached string) bool {
	return strings.HasPrefix(cachedSegment(cached), category+"/")
}

// cachedSegment is cachedURL's inverse: the category and the last segment of
// the key.
func cachedSegment(cached string) string {
	address, query, _ := strings.Cut(cached, "?")
	if !strings.Contains(address, "://") {
		return cached // it was left as it was
	}
	params, _ := url.ParseQuery(query)
	return cmp.Or(params.Get(constant.CategoryKey), layout.Providers) + "/" + layout.Encode(cached)
}
