// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"hash/maphash"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/parallel"
)

// thing is what one ID of a View stands for: keys in etcd, and the one that the
// listener was told of. Nearly always that is one key, which is all that is kept
// then.
type thing struct {
	only keyAt
	*several
}

// several is what else a thing may be.
type several struct {
	keys      []keyAt // with the revision of their creation
	delivered string  // empty: the listener does not know it
}

// all returns the keys, with the revision of their creation.
func (t thing) all() []keyAt {
	if t.several == nil {
		return []keyAt{t.only}
	}
	return t.keys
}

// told is the key that the listener was told of; empty: it does not know it.
func (t thing) told() string {
	if t.several == nil {
		return t.only.key
	}
	return t.delivered
}

// thingOf is the thing of some keys, of which the listener was told of one.
func thingOf(keys []keyAt, delivered string) thing {
	if len(keys) == 1 && keys[0].key == delivered {
		return thing{only: keys[0]}
	}
	return thing{several: &several{keys, delivered}}
}

// latest is the key that was created last, or empty if there is none.
func latest(keys []keyAt) string {
	if len(keys) == 0 {
		return ""
	}
	return slices.MaxFunc(keys, func(a, b keyAt) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key))
	}).key
}

// createdAt is the revision in which a key was created; 0 if it is gone.
func (t thing) createdAt(key string) int64 {
	for _, k := range t.all() {
		if k.key == key {
			return k.at
		}
	}
	return 0
}

// digest takes changes of keys into s.things and returns what that is to the
// listener, in order, together with what was read on the way, by key.
//
// One thing may have several keys for a while: a provider that is registered
// again with other parameters gets a new key as the old one is deleted. To the
// listener that is an update; deleting the old key last must not remove the
// provider.
func (s *Subscription) digest(changes []Change) ([]*registry.ServiceEvent, map[string]meaning) {
	var (
		read    = make(map[string]meaning, len(changes))
		touched = make([]digest, 0, len(changes)) // in order
	)
	s.others = nil
	if len(s.things) == 0 {
		s.things = make(map[digest]thing, len(changes))
	}
	for i, m := range s.view.readAll(changes) {
		c := changes[i]
		s.skip(c.Key, m.err)
		if m.url == nil {
			if m.err == nil && !c.Deleted && len(s.others) < manyOthers {
				s.others = append(s.others, c.Key)
			}
			continue
		}
		read[c.Key] = m
		id := digestOf(m.id)
		var keys []keyAt
		var told string
		if t, known := s.things[id]; known {
			keys = slices.DeleteFunc(t.all(), func(k keyAt) bool { return k.key == c.Key })
			told = t.told()
		}
		if !c.Deleted {
			keys = append(keys, keyAt{c.Key, c.Created})
		}
		s.things[id] = thingOf(keys, told)
		touched = append(touched, id)
	}
	return s.events(s.hold(touched), read), read
}

// manyOthers is how many keys are enough to see what a subscription is not about.
const manyOthers = 16

// hold returns the IDs that the listener is to hear of now: all, unless it is
// to keep the last of some keys and all of those are gone. They wait until there
// is one again.
func (s *Subscription) hold(touched []digest) []digest {
	if s.view.KeepLast == nil {
		return touched
	}
	before := len(s.held)
	touched = append(s.held, touched...)
	s.held = nil
	known := false
	for _, t := range s.things {
		switch {
		case slices.ContainsFunc(t.all(), func(k keyAt) bool { return s.view.KeepLast(k.key) }):
			return touched
		case t.told() != "" && s.view.KeepLast(t.told()):
			known = true
		}
	}
	if !known {
		return touched
	}
	var now []digest
	for _, id := range touched {
		if delivered := s.told(id); delivered != "" && s.view.KeepLast(delivered) {
			s.held = append(s.held, id)
		} else {
			now = append(now, id)
		}
	}
	if len(s.held) > before {
		logger.Warnf("[etcdv3] everything under %s is gone from etcd: going on with what was there last, until there is something again", s.feed.name())
	}
	return now
}

// events compares what the listener was told of each thing with what is true
// now, and takes it as told.
func (s *Subscription) events(ids []digest, read map[string]meaning) []*registry.ServiceEvent {
	var events []*registry.ServiceEvent
	for _, id := range ids {
		t, known := s.things[id]
		if !known {
			continue
		}
		keys := t.all()
		before, now := t.told(), latest(keys)
		if now == "" {
			delete(s.things, id)
		} else {
			s.things[id] = thingOf(keys, now)
		}
		if before == now {
			continue
		}
		action, key := remoting.EventTypeUpdate, now
		switch {
		case before == "":
			action = remoting.EventTypeAdd
		case now == "":
			action, key = remoting.EventTypeDel, before
		}
		m, known := read[key]
		if !known {
			m = s.view.meaningOf(key)
			s.skip(key, m.err)
		}
		if m.url != nil {
			events = append(events, delivery.Event(action, m.id, m.url))
		}
	}
	return events
}

// digest stands for an ID, which is much longer. It is made with a seed that nobody
// knows: no two IDs that somebody might write have the same.
type digest [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func digestOf(id string) digest {
	return digest{maphash.String(seeds[0], id), maphash.String(seeds[1], id)}
}

// told is the key of a thing that the listener was told of; empty: it does not know
// it.
func (s *Subscription) told(id digest) string {
	if t, known := s.things[id]; known {
		return t.told()
	}
	return ""
}

// meaningsOf is what some keys say. Those that have been read on the way are not
// read again, and have no error any more: the log was told.
func (s *Subscription) meaningsOf(keys []keyAt, read map[string]meaning) []meaning {
	all := make([]meaning, len(keys))
	parallel.Each(len(keys), func(i int) {
		if m, known := read[keys[i].key]; known {
			all[i] = meaning{url: m.url, id: m.id}
		} else {
			all[i] = s.view.meaningOf(keys[i].key)
		}
	})
	return all
}

// skip tells the log why a key, or a part of it, cannot be used; nil: it can.
func (s *Subscription) skip(key string, err error) {
	if err != nil {
		s.feed.Skip(key, err)
	}
}

// notifyAllAbove is the number of changes from which one NotifyAll costs the
// framework's directory less than as many calls of Notify. Both grow with the
// directory, a Notify about linearly, a NotifyAll of what is known faster; over
// sizes from 100 to 10,000 the one costs as much as 23 to 29 of the other
// (BenchmarkNotify).
const notifyAllAbove = 25
