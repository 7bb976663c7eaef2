// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// thing is what one ID of a View stands for: the keys in etcd, and the one
// that the listener was told of.
type thing struct {
	keys      []keyAt // with the revision of their creation; rarely more than one
	delivered string  // empty: the listener does not know it
}

// latest is the key that was created last, or empty if there is none.
func (t thing) latest() string {
	if len(t.keys) == 0 {
		return ""
	}
	return slices.MaxFunc(t.keys, func(a, b keyAt) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key))
	}).key
}

// createdAt is the revision in which a key was created; 0 if it is gone.
func (t thing) createdAt(key string) int64 {
	for _, k := range t.keys {
		if k.key == key {
			return k.at
		}
	}
	return 0
}

// digest takes changes of keys into s.things and returns what that is to the
// listener, in order, together with the URLs read on the way, by key.
//
// One thing may have several keys for a while: a provider that is registered
// again with other parameters gets a new key as the old one is deleted. To the
// listener that is an update; deleting the old key last must not remove the
// provider.
func (s *Subscription) digest(changes []Change) ([]*registry.ServiceEvent, map[string]*common.URL) {
	var (
		urls    = make(map[string]*common.URL, len(changes))
		touched = make([]string, 0, len(changes)) // IDs, in order
	)
	for _, c := range changes {
		u := s.read(c.Key)
		if u == nil {
			continue
		}
		urls[c.Key] = u
		id := s.view.ID(c.Key, u)
		t := s.things[id]
		t.keys = slices.DeleteFunc(t.keys, func(k keyAt) bool { return k.key == c.Key })
		if !c.Deleted {
			t.keys = append(t.keys, keyAt{c.Key, c.Created})
		}
		s.things[id] = t
		touched = append(touched, id)
	}
	return s.events(s.hold(touched), urls), urls
}

// hold returns the IDs that the listener is to hear of now: all, unless it is
// to keep the last of some keys and all of those are gone. They wait until there
// is one again.
func (s *Subscription) hold(touched []string) []string {
	if s.view.KeepLast == nil {
		return touched
	}
	before := len(s.held)
	touched = append(s.held, touched...)
	s.held = nil
	known := false
	for _, t := range s.things {
		switch {
		case slices.ContainsFunc(t.keys, func(k keyAt) bool { return s.view.KeepLast(k.key) }):
			return touched
		case t.delivered != "" && s.view.KeepLast(t.delivered):
			known = true
		}
	}
	if !known {
		return touched
	}
	var now []string
	for _, id := range touched {
		if delivered := s.things[id].delivered; delivered != "" && s.view.KeepLast(delivered) {
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
func (s *Subscription) events(ids []string, urls map[string]*common.URL) []*registry.ServiceEvent {
	var events []*registry.ServiceEvent
	for _, id := range ids {
		t := s.things[id]
		before, now := t.delivered, t.latest()
		t.delivered = now
		s.things[id] = t
		if now == "" {
			delete(s.things, id)
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
		events = append(events, delivery.Event(action, id, s.urlOf(key, urls)))
	}
	return events
}

// urlOf is read, unless it has been read on the way.
func (s *Subscription) urlOf(key string, urls map[string]*common.URL) *common.URL {
	if u := urls[key]; u != nil {
		return u
	}
	return s.read(key)
}

// read returns the URL of a key, or nil if the subscription is not about it or
// it cannot be read.
func (s *Subscription) read(key string) *common.URL {
	u, err := s.view.Read(key)
	if err != nil {
		s.feed.Skip(key, err)
	}
	return u
}

// notifyAllAbove is the number of changes from which one NotifyAll costs the
// framework's directory less than as many calls of Notify. Both grow with the
// directory, a Notify about linearly, a NotifyAll of what is known faster; over
// sizes from 100 to 10,000 the one costs as much as 23 to 29 of the other
// (BenchmarkNotify).
const notifyAllAbove = 25
