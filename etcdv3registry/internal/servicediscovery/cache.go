// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// file is the local cache file, which has the instances for a start without etcd. An
// application is an entry of its own: services/<application>, a name that no
// service key of an interface-level registry has.
func (d *Discovery) file() *cachefile.File {
	return d.user.File(layout.ApplicationOf(d.user.URL))
}

func entryOf(application string) string { return "services/" + application }

// load returns the instances that were saved last, by this process or one
// before it, by key; ok is false if there are none, or were none.
func (d *Discovery) load(application string) (instances map[string]*seen, ok bool) {
	file := d.file() // once: Destroy takes it away
	words, saved, ok := file.Get(entryOf(application))
	if !ok || len(words) == 0 {
		return nil, false
	}
	instances = map[string]*seen{}
	for _, word := range words {
		address, encoded, ok := fromCache(word)
		if !ok {
			continue // damaged
		}
		key := d.prefix(application) + address
		if f := decode(key, encoded).(*found); f.err == nil {
			instances[key] = &seen{found: f, key: key}
		}
	}
	d.user.FallsBack("instances", file, saved)
	return instances, true
}

// save notes what is seen of an application, to be saved a little later.
func (d *Discovery) save(application string, seen *view) {
	d.user.Answers("instances")
	if file := d.file(); file != nil {
		file.Set(entryOf(application), seen.cached())
	}
}
