// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// view is the instances of one application as one reader sees them.
type view struct {
	prefix string
	feed   *listener.Feed
	all    map[string]*seen    // instances, by key
	others map[string]struct{} // keys that are none, or cannot be read
}

// seen is an instance, and the reader's own copy of it, once it has asked for
// one: a reader that is told of many instances again, because of one, gets the
// others as they were, with what it has made of them.
type seen struct {
	*found
	created int64
	own     *incarnation
}

func newView(hub *listener.Hub, prefix string) *view {
	return &view{prefix: prefix, feed: hub.Open(prefix), all: map[string]*seen{}, others: map[string]struct{}{}}
}

// keys is the number of keys that there are.
func (v *view) keys() int { return len(v.all) + len(v.others) }

// update takes in what has changed, and reports whether an instance has.
func (v *view) update() bool {
	changed := false
	for _, c := range v.feed.Take() {
		old := v.all[c.Key]
		now := v.read(c)
		switch {
		case old != nil && now != nil && bytes.Equal(old.encoded, now.encoded):
			continue // it was read again, out of another store perhaps
		case now != nil:
			v.all[c.Key] = &seen{found: now, created: c.Created}
		default:
			delete(v.all, c.Key)
		}
		changed = changed || old != nil || now != nil
	}
	return changed
}

// read returns what a key says; nil for one that is no instance, or not any
// more.
func (v *view) read(c listener.Change) *found {
	delete(v.others, c.Key)
	if c.Deleted {
		return nil
	}
	if isInstance(c.Key, v.prefix) {
		now := c.Decode(decode).(*found)
		if now.err == nil {
			return now
		}
		if v.feed.WarnOnce(c.Key) {
			logger.Warnf("[etcdv3] instance %s is left out: %v", c.Key, now.err)
		}
	}
	v.others[c.Key] = struct{}{}
	return nil
}

// isInstance reports whether a key is that of an instance, by its name.
func isInstance(key, prefix string) bool {
	address, ok := strings.CutPrefix(key, prefix)
	return ok && strings.Contains(address, ":") && !strings.Contains(address, "/")
}

// instances returns the reader's own copies, in the order of their keys.
func (v *view) instances() []registry.ServiceInstance {
	instances := make([]registry.ServiceInstance, 0, len(v.all))
	for _, key := range slices.Sorted(maps.Keys(v.all)) {
		s := v.all[key]
		if s.own == nil {
			s.own = incarnationOf(s.instance, s.created)
		}
		instances = append(instances, s.own)
	}
	return instances
}

// copies likewise, made for this call.
func (v *view) copies() []registry.ServiceInstance {
	instances := make([]registry.ServiceInstance, 0, len(v.all))
	for _, key := range slices.Sorted(maps.Keys(v.all)) {
		instances = append(instances, incarnationOf(v.all[key].instance, v.all[key].created))
	}
	return instances
}

// cached returns the instances as they stand in the cache file.
func (v *view) cached() []string {
	words := make([]string, 0, len(v.all))
	for _, s := range v.all {
		words = append(words, s.cached())
	}
	slices.Sort(words)
	return words
}
