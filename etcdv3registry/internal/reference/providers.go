// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"maps"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// providers are who serves one service, by what the framework's directory tells
// them apart by, and what of it the directory was told.
type providers struct {
	matchKey  string
	instances map[instance]*server
	served    map[string]map[instance]*common.URL // by ID; hardly ever more than one
	delivered map[string]*common.URL              // by ID
	dirty     map[string]bool                     // IDs that are not told yet
}

// instance is a key in etcd.
type instance struct{ application, key string }

// server is an instance that serves.
type server struct {
	*servicediscovery.Provider
	elsewhere func(address string) bool
	since     int64 // the time of its start, as the IDs have it
	ids       []string
}

func newProviders(matchKey string) providers {
	return providers{
		matchKey:  matchKey,
		instances: map[instance]*server{},
		served:    map[string]map[instance]*common.URL{},
		delivered: map[string]*common.URL{},
		dirty:     map[string]bool{},
	}
}

// take takes in what has changed of an application. An instance that is new by
// its start alone (it is in another store, or known to etcd where it was out of
// the cache file) goes on as it was as long as the directory has it: a new one
// would mean other connections.
func (p *providers) take(application string, feed feed, has map[invokers.Endpoint]bool) {
	for _, c := range feed.Take() {
		i := instance{application, c.Key}
		before := p.remove(i)
		if c.Provider == nil {
			continue
		}
		since := c.Provider.Created()
		if before != nil && !p.lacks(before.ids, has) {
			since = before.since
		}
		p.add(i, &server{Provider: c.Provider, elsewhere: feed.IsInstance, since: since})
	}
}

func (p *providers) add(i instance, s *server) {
	for _, u := range s.URLs(p.matchKey, s.since, s.elsewhere) {
		id := u.GetCacheInvokerMapKey()
		if p.served[id] == nil {
			p.served[id] = map[instance]*common.URL{}
		}
		p.served[id][i] = u
		p.dirty[id] = true
		s.ids = append(s.ids, id)
	}
	if len(s.ids) > 0 {
		p.instances[i] = s
	}
}

func (p *providers) remove(i instance) *server {
	s := p.instances[i]
	if s != nil {
		for _, id := range s.ids {
			delete(p.served[id], i)
			p.dirty[id] = true
		}
		delete(p.instances, i)
	}
	return s
}

// renew has instances that the directory lacks begin when they did by etcd: the
// directory may have ended the one that it knew.
func (p *providers) renew(has map[invokers.Endpoint]bool) {
	for i, s := range p.instances {
		if s.since != s.Created() && p.lacks(s.ids, has) {
			p.remove(i)
			p.add(i, &server{Provider: s.Provider, elsewhere: s.elsewhere, since: s.Created()})
		}
	}
}

// has reports whether an application serves.
func (p *providers) has(application string) bool {
	for i := range p.instances {
		if i.application == application {
			return true
		}
	}
	return false
}

// size is how many there are.
func (p *providers) size() int { return len(p.delivered) }

// changes returns what the directory has to be told of, and notes it as told.
// Who comes is before who goes: there is to be somebody all the time.
func (p *providers) changes() []*registry.ServiceEvent {
	var come, gone []*registry.ServiceEvent
	for _, id := range slices.Sorted(maps.Keys(p.dirty)) {
		before, now := p.delivered[id], p.of(id)
		switch {
		case now == nil && before == nil, now != nil && before != nil && now.String() == before.String():
		case now == nil:
			gone = append(gone, event(remoting.EventTypeDel, id, before))
		case before == nil:
			come = append(come, event(remoting.EventTypeAdd, id, now))
		default:
			come = append(come, event(remoting.EventTypeUpdate, id, now))
		}
		if now == nil {
			delete(p.delivered, id)
			delete(p.served, id)
		} else {
			p.delivered[id] = now
		}
	}
	clear(p.dirty)
	return append(come, gone...)
}

// of returns the URL of an ID; nil: there is none.
func (p *providers) of(id string) *common.URL {
	var best *common.URL
	var by instance
	for i, u := range p.served[id] {
		if best == nil || i.application+" "+i.key < by.application+" "+by.key {
			best, by = u, i
		}
	}
	return best
}

// all returns everything that the directory has been told of, or is to be.
func (p *providers) all() []*registry.ServiceEvent {
	return p.these(slices.Collect(maps.Keys(p.delivered)))
}

// these returns those of some IDs that the directory has been told of.
func (p *providers) these(ids []string) []*registry.ServiceEvent {
	events := make([]*registry.ServiceEvent, 0, len(ids))
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if u := p.delivered[id]; u != nil {
			events = append(events, event(remoting.EventTypeAdd, id, u))
		}
	}
	return events
}

// lacks reports whether the directory has been told of one of some IDs, and does not
// have it.
func (p *providers) lacks(ids []string, has map[invokers.Endpoint]bool) bool {
	return slices.ContainsFunc(ids, func(id string) bool {
		u := p.delivered[id]
		return u != nil && !has[invokers.EndpointOf(u)]
	})
}

// missing returns the IDs of those that the directory lacks.
func (p *providers) missing(has map[invokers.Endpoint]bool) map[string]invokers.Endpoint {
	missing := map[string]invokers.Endpoint{}
	for id, u := range p.delivered {
		if e := invokers.EndpointOf(u); !has[e] {
			missing[id] = e
		}
	}
	return missing
}

// event has a URL of its own: the directory changes it.
func event(action remoting.EventType, id string, u *common.URL) *registry.ServiceEvent {
	return delivery.Event(action, id, u.Clone())
}
