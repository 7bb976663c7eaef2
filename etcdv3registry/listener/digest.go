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

// untold is in the place of what else a thing may be when there is one key, and the
// listener was not told of it: so are nearly all of them for a moment.
var untold = &several{}

// isOne reports whether only is all there is.
func (t thing) isOne() bool { return t.several == nil || t.several == untold }

// all returns the keys, with the revision of their creation.
func (t thing) all() []keyAt {
	if t.isOne() {
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

// latest is the key that was created last, or empty if there is none.
func (t thing) latest() string {
	if t.isOne() {
		return t.only.key
	}
	if len(t.keys) == 0 {
		return ""
	}
	return slices.MaxFunc(t.keys, func(a, b keyAt) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key))
	}).key
}

// with is the thing after a key was put, or deleted.
func (t thing) with(c Change) thing {
	keys := slices.DeleteFunc(t.all(), func(k keyAt) bool { return k.key == c.Key })
	if !c.Deleted {
		keys = append(keys, keyAt{c.Key, c.Created})
	}
	return thingOf(keys, t.told())
}

// thingOf is the thing of some keys, of which the listener was told of one.
func thingOf(keys []keyAt, delivered string) thing {
	switch {
	case len(keys) != 1 || delivered != "" && delivered != keys[0].key:
		return thing{several: &several{keys, delivered}}
	case delivered == "":
		return thing{only: keys[0], several: untold}
	default:
		return thing{only: keys[0]}
	}
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

// touched is a thing that changed, and what its key says that did.
type touched struct {
	id  digest
	key string // empty: that is not known
	meaning
}

// byCreation orders keys as they were created.
func byCreation(a, b *Change) int {
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Key, b.Key))
}

// digest takes changes of keys into s.things and returns what that is to the
// listener, in order; complete reports whether that is all there is, in the order of
// creation.
//
// One thing may have several keys for a while: a provider that is registered
// again with other parameters gets a new key as the old one is deleted. To the
// listener that is an update; deleting the old key last must not remove the
// provider.
func (s *Subscription) digest(changes []Change) (events []*registry.ServiceEvent, complete bool) {
	all := make([]touched, 0, len(changes)) // in order
	s.others = nil
	if complete = len(s.things) == 0; complete {
		s.things = make(map[digest]thing, len(changes))
		changes = sorted(changes, byCreation)
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
		id := digestOf(m.id)
		if t, known := s.things[id]; known {
			s.things[id] = t.with(c)
		} else if !c.Deleted {
			s.things[id] = thing{only: keyAt{c.Key, c.Created}, several: untold}
		}
		all = append(all, touched{id, c.Key, m})
	}
	return s.events(s.hold(all)), complete
}

// manyOthers is how many keys are enough to see what a subscription is not about.
const manyOthers = 16

// hold returns what the listener is to hear of now: all, unless it is
// to keep the last of some keys and all of those are gone. They wait until there
// is one again.
func (s *Subscription) hold(all []touched) []touched {
	if s.view.KeepLast == nil {
		return all
	}
	before := len(s.held)
	all = append(s.held, all...)
	s.held = nil
	known := false
	for _, t := range s.things {
		switch {
		case slices.ContainsFunc(t.all(), func(k keyAt) bool { return s.view.KeepLast(k.key) }):
			return all
		case t.told() != "" && s.view.KeepLast(t.told()):
			known = true
		}
	}
	if !known {
		return all
	}
	var now []touched
	for _, t := range all {
		if delivered := s.told(t.id); delivered != "" && s.view.KeepLast(delivered) {
			s.held = append(s.held, touched{id: t.id})
		} else {
			now = append(now, t)
		}
	}
	if len(s.held) > before {
		logger.Warnf("[etcdv3] everything under %s is gone from etcd: going on with what was there last, until there is something again", s.feed.name())
	}
	return now
}

// events compares what the listener was told of each thing with what is true
// now, and takes it as told.
func (s *Subscription) events(all []touched) []*registry.ServiceEvent {
	events := make([]*registry.ServiceEvent, 0, len(all))
	for _, is := range all {
		t, known := s.things[is.id]
		if !known {
			continue
		}
		before, now := t.told(), t.latest()
		if now == "" {
			delete(s.things, is.id)
		} else if now != before {
			s.things[is.id] = thingOf(t.all(), now)
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
		m := is.meaning
		if key != is.key { // of its several keys another one is what is told
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
