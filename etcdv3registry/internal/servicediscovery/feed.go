// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"maps"
	"slices"
	"sync"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

// Change is an instance that changed since the last Take, as it is now.
type Change struct {
	Key      string
	Provider *Provider // nil: it serves nothing, or is gone
}

// Feed is one reader's view of an application. It is made by Discovery.Open.
// Take is for one goroutine at a time.
type Feed struct {
	app     *application
	changed chan struct{}
	close   sync.Once
	dirty   map[string]struct{} // keys, guarded by application.mu
}

// Open returns a feed of what the instances of an application serve. It returns
// at once. The first feed of an application starts a watch and asks for metadata;
// the last one to be closed ends both.
//
// changed, which should have room for one value and may be that of several feeds,
// is sent one when there may be something to Take, or Settled may have become
// true.
func (d *Discovery) Open(name string, changed chan struct{}) (*Feed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil {
		return nil, extension.ErrClosed
	}
	a := d.followed[name]
	if a == nil {
		a = newApplication(d, name)
		d.followed[name] = a
		a.follow(c)
	}
	a.readers++
	f := &Feed{app: a, changed: changed, dirty: map[string]struct{}{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.feeds[f] = struct{}{}
	for key := range a.serving {
		f.dirty[key] = struct{}{}
	}
	if a.listed {
		delivery.Signal(f.changed)
	}
	return f, nil
}

// Take returns what changed since the last Take, in the order of the keys; the
// first one returns all that there is.
func (f *Feed) Take() []Change {
	f.app.mu.Lock()
	defer f.app.mu.Unlock()
	changes := make([]Change, 0, len(f.dirty))
	for _, key := range slices.Sorted(maps.Keys(f.dirty)) {
		changes = append(changes, Change{Key: key, Provider: f.app.serving[key]})
	}
	clear(f.dirty)
	return changes
}

// Settled reports whether the instances are known, and each of them has been
// asked for its metadata once, if only in vain.
func (f *Feed) Settled() bool {
	f.app.mu.Lock()
	defer f.app.mu.Unlock()
	if !f.app.listed {
		return false
	}
	for _, r := range f.app.revisions {
		if r.services == nil && !r.tried {
			return false
		}
	}
	return true
}

// IsInstance reports whether the application has an instance at an address,
// host:port.
func (f *Feed) IsInstance(address string) bool {
	f.app.mu.Lock()
	defer f.app.mu.Unlock()
	return f.app.instances[f.app.discovery.prefix(f.app.name)+address] != nil
}

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {
	f.close.Do(func() {
		a := f.app
		a.mu.Lock()
		delete(a.feeds, f)
		a.mu.Unlock()
		d := a.discovery
		d.mu.Lock()
		a.readers--
		last := a.readers == 0
		if last && d.followed[a.name] == a {
			delete(d.followed, a.name)
		}
		d.mu.Unlock()
		if last {
			a.close()
		}
	})
}
