// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"bytes"
	"maps"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/parallel"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// view is the instances of one application as one reader sees them.
type view struct {
	prefix string
	feed   *listener.Feed
	all    map[string]*seen    // instances, by key
	order  []string            // the keys of all, sorted; nil: not known
	others map[string]struct{} // keys that are none, or cannot be read
}

// seen is an instance, and the reader's own copy of it, once it has asked for
// one: a reader that is told of many instances again, because of one, gets the
// others as they were, with what it has made of them.
type seen struct {
	*found
	key     string
	created int64 // in which revision the instance began; 0: unknown
	origin  int64 // in which its key was created
	lease   int64 // of the key
	own     *incarnation
}

func newView(hub *listener.Hub, prefix string) *view {
	return &view{prefix: prefix, feed: hub.Open(prefix), all: map[string]*seen{}, others: map[string]struct{}{}}
}

// update takes in what has changed, and returns the keys of the instances that
// have, and whether one has by more than that its key was created anew: it was
// read out of another store perhaps.
func (v *view) update() (changed []string, news bool) {
	changes := v.feed.Take()
	parallel.Each(len(changes), func(i int) { v.decoded(changes[i]) })
	if len(changes) > fewKeys {
		v.order = nil
	}
	for _, c := range changes {
		old := v.all[c.Key]
		now := v.read(c)
		switch {
		case old != nil && now != nil && bytes.Equal(old.encoded, now.encoded):
			if again := seenIn(c, now, old); again.created != old.created {
				again.own = old.own
				v.all[c.Key] = again
				changed = append(changed, c.Key)
			}
			continue
		case now != nil:
			v.set(c.Key, seenIn(c, now, old))
		default:
			v.set(c.Key, nil)
		}
		if old != nil || now != nil {
			changed, news = append(changed, c.Key), true
		}
	}
	return changed, news
}

// seenIn is what a key says, after what it said before (nil: nothing). An instance
// begins when its key is created; or, if whoever was there could not delete it and
// another process has put it, when it comes under another lease.
func seenIn(c listener.Change, now *found, before *seen) *seen {
	s := &seen{found: now, key: c.Key, created: c.Created, origin: c.Created, lease: c.Lease}
	if before != nil && before.origin == c.Created {
		if s.created = before.created; before.lease != c.Lease {
			s.created = c.Changed
		}
	}
	return s
}

// read returns what a key says; nil for one that is no instance, or not any
// more.
func (v *view) read(c listener.Change) *found {
	delete(v.others, c.Key)
	if c.Deleted {
		return nil
	}
	if now := v.decoded(c); now != nil {
		if now.err == nil {
			return now
		}
		v.feed.Skip(c.Key, now.err)
	}
	v.others[c.Key] = struct{}{}
	return nil
}

// decoded returns what the value of a key says, once it has been decoded for whichever
// reader; nil for one that is not that of an instance.
func (v *view) decoded(c listener.Change) *found {
	if c.Deleted || !layout.IsInstance(c.Key, v.prefix) {
		return nil
	}
	return c.Decode(decode).(*found)
}

// fewKeys is how many keys are put in order one by one, rather than all anew.
const fewKeys = 32

// set notes what is under a key; nil: nothing.
func (v *view) set(key string, now *seen) {
	if now != nil {
		v.all[key] = now
	} else {
		delete(v.all, key)
	}
	if v.order == nil {
		return
	}
	switch at, known := slices.BinarySearch(v.order, key); {
	case known && now == nil:
		v.order = slices.Delete(v.order, at, at+1)
	case !known && now != nil:
		v.order = slices.Insert(v.order, at, key)
	}
}

// keys returns the keys of all instances in their order.
func (v *view) keys() []string {
	if v.order == nil {
		v.order = slices.Sorted(maps.Keys(v.all))
	}
	return v.order
}

// instances returns the reader's own copies, in the order of their keys.
func (v *view) instances() []registry.ServiceInstance {
	instances := make([]registry.ServiceInstance, 0, len(v.all))
	for _, key := range v.keys() {
		s := v.all[key]
		if s.own == nil {
			s.own = incarnationOf(s.instance, s.created)
		}
		instances = append(instances, s.own)
	}
	return instances
}

// copiesOf returns instances made for this call, in the order of their keys.
func copiesOf(all map[string]*seen) []registry.ServiceInstance {
	instances := make([]registry.ServiceInstance, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		instances = append(instances, incarnationOf(all[key].instance, all[key].created))
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
