// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// cache is the local cache file as one registry uses it: what its listeners
// were told, by service, for a start without etcd.
//
// The file has the URLs of all categories of a service under one service key,
// as Java's has. Several subscriptions may be of the same service (a consumer's
// to the providers, a provider's to the overrides): what they know is joined, and
// of categories of which nobody has heard from etcd, what the file has stays.
type cache struct {
	user *extension.User
	file *cachefile.File

	mu       sync.Mutex                                 // guards what follows
	services map[string]map[*cachedList]func() []string // keys; nil: etcd has not been heard of
}

// openCache opens the cache file of a registry; nil if there is to be none.
func openCache(user *extension.User, application string) *cache {
	file := user.File(application)
	if file == nil {
		return nil
	}
	return &cache{user: user, file: file, services: map[string]map[*cachedList]func() []string{}}
}

// list returns the part of the cache that belongs to one subscription. It is
// nil for a subscription to all services, and where there is no cache.
func (c *cache) list(u *common.URL, q query) *cachedList {
	if c == nil || q.service == constant.AnyValue {
		return nil
	}
	l := &cachedList{cache: c, service: u.ServiceKey(), prefix: layout.ServicePrefix(c.user.Root, q.service), covers: q.wantsCategory}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.services[l.service] == nil {
		c.services[l.service] = map[*cachedList]func() []string{}
	}
	c.services[l.service][l] = nil
	return l
}

// urls returns those of a service, once for all that has changed.
func (c *cache) urls(service string, saved []string) []string {
	c.mu.Lock()
	lists := maps.Clone(c.services[service])
	c.mu.Unlock()
	urls := unheard(saved, lists)
	for _, keys := range lists {
		if keys == nil {
			continue
		}
		for _, key := range keys() {
			urls = append(urls, cachedURL(c.user.Root, key))
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// unheard returns what the file has of categories that no subscription has heard
// of from etcd, or that one is about which has not.
func unheard(saved []string, lists map[*cachedList]func() []string) []string {
	return slices.DeleteFunc(saved, func(u string) bool {
		category := cachedCategory(u)
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
	l.cache.user.FallsBack("addresses", l.cache.file, saved)
	return keys, true
}

// Save notes what the listener knows. The URLs are made of the keys later.
func (l *cachedList) Save(keys func() []string) {
	c := l.cache
	c.mu.Lock()
	ended := l.ended
	if !ended {
		c.services[l.service][l] = keys
	}
	c.mu.Unlock()
	if !ended {
		c.user.Answers("addresses")
		c.file.SetLater(l.service, c, func(saved []string) []string { return c.urls(l.service, saved) })
	}
}

// end forgets what the subscription knew; the file keeps it, for the next time.
func (l *cachedList) end() {
	if l == nil {
		return
	}
	c := l.cache
	c.file.Get(l.service) // which makes it
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
func isSavedAs(category, cached string) bool { return cachedCategory(cached) == category }

// cachedCategory is the category of a URL in the file.
func cachedCategory(cached string) string {
	of := cached // it was left as it was
	if address, query, _ := strings.Cut(cached, "?"); strings.Contains(address, "://") {
		of = categoryIn(query)
	}
	category, _, _ := strings.Cut(of, "/")
	return category
}

// categoryIn is what the parameters of a URL in the file say, or else providers.
func categoryIn(query string) string {
	if !strings.Contains(query, constant.CategoryKey) && !strings.Contains(query, "%") {
		return layout.Providers // most do not say it: they need not be read
	}
	params, _ := url.ParseQuery(query)
	return cmp.Or(params.Get(constant.CategoryKey), layout.Providers)
}

// cachedSegment is cachedURL's inverse: the category and the last segment of
// the key.
func cachedSegment(cached string) string {
	address, query, _ := strings.Cut(cached, "?")
	if !strings.Contains(address, "://") {
		return cached // it was left as it was
	}
	return categoryIn(query) + "/" + layout.Encode(cached)
}
