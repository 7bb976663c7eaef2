// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
)

// catalog is what the console knows: all that is registered, and how etcd is.
// It is the listener of the subscription; pages read it by snapshot.
type catalog struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	entries  map[string]*entry
	services map[string]*members
	lastID   uint64
	loaded   bool // the registry has told what there is
	etcd     etcdState
	view     *view         // of the application level; nil: it has not been read
	changed  chan struct{} // closed by the next change
}

var _ registry.NotifyListener = (*catalog)(nil)

// entry is one key of the registry. It does not change.
type entry struct {
	id   uint64 // stands for the key, which may hold a password
	url  *common.URL
	seen time.Time // when the console heard of it
}

// members are the entries of a service.
type members struct {
	entries map[string]*entry // by key
	view    *service          // made of them; nil: to be made
	served  []row             // of the application level, as it is in view
}

// etcdState says how etcd is, for the page.
type etcdState struct {
	Status etcdStatus `json:"status"`
	Since  int64      `json:"since"` // in milliseconds since 1970
	Reason string     `json:"reason,omitempty"`
}

// snapshot is the catalog at one moment. Services are not changed but replaced.
type snapshot struct {
	loaded   bool
	etcd     etcdState
	services map[string]*service // by interface
	view     *view               // not nil
}

func newCatalog(now func() time.Time) *catalog {
	return &catalog{
		now:      now,
		entries:  map[string]*entry{},
		services: map[string]*members{},
		etcd:     etcdState{Since: now().UnixMilli()},
		changed:  make(chan struct{}),
	}
}

// Notify takes one change.
func (c *catalog) Notify(e *registry.ServiceEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Action == remoting.EventTypeDel {
		c.remove(e.Key())
	} else {
		c.put(e.Key(), e.Service)
	}
	c.wake()
}

// NotifyAll takes the complete list.
func (c *catalog) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	c.mu.Lock()
	defer c.mu.Unlock()
	listed := make(map[string]bool, len(events))
	for _, e := range events {
		listed[e.Key()] = true
		c.put(e.Key(), e.Service)
	}
	for key := range c.entries {
		if !listed[key] {
			c.remove(key)
		}
	}
	c.loaded = true
	c.wake()
}

// setEtcd notes how etcd is.
func (c *catalog) setEtcd(s etcdStatus, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.etcd.Status != s {
		c.etcd = etcdState{Status: s, Since: c.now().UnixMilli(), Reason: reason}
		c.wake()
	}
}

// setView takes what the application level comes to.
func (c *catalog) setView(v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range v.served {
		if c.services[name] == nil {
			c.services[name] = &members{entries: map[string]*entry{}}
		}
	}
	c.view = v
	for name, m := range c.services {
		if len(m.entries) == 0 && v.served[name] == nil {
			delete(c.services, name)
		}
	}
	c.wake()
}

// snapshot returns what there is, and a channel that is closed when there is
// something else.
func (c *catalog) snapshot() (snapshot, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := snapshot{loaded: c.loaded, etcd: c.etcd, services: make(map[string]*service, len(c.services)), view: c.view}
	if s.view == nil {
		s.view = &view{rules: []row{}, problems: []problem{}}
	}
	for name, m := range c.services {
		served := s.view.served[name]
		if m.view == nil || !sameRows(m.served, served) {
			m.view, m.served = newService(name, maps.Values(m.entries)), served
			m.view.Applications = append(m.view.Applications, served...)
		}
		s.services[name] = m.view
	}
	return s, c.changed
}

// sameRows says whether they are one and the same; those that are equal are.
func sameRows(a, b []row) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// put adds an entry, or replaces what it says. It keeps its place and time.
func (c *catalog) put(key string, u *common.URL) {
	e := &entry{url: u}
	if known := c.entries[key]; known == nil {
		c.lastID++
		e.id, e.seen = c.lastID, c.now()
	} else {
		if known.url.String() == u.String() {
			return
		}
		e.id, e.seen = known.id, known.seen
		c.remove(key)
	}
	c.entries[key] = e
	name := u.Service()
	if c.services[name] == nil {
		c.services[name] = &members{entries: map[string]*entry{}}
	}
	c.services[name].entries[key] = e
	c.services[name].view = nil
}

func (c *catalog) remove(key string) {
	e := c.entries[key]
	if e == nil {
		return
	}
	delete(c.entries, key)
	name := e.url.Service()
	m := c.services[name]
	delete(m.entries, key)
	m.view = nil
	if len(m.entries) == 0 && c.view.servedBy(name) == nil {
		delete(c.services, name)
	}
}

// wake tells the pages that there is something else to show.
func (c *catalog) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}
