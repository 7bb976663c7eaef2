// SPDX-License-Identifier: Apache-2.0

// Package world puts the keys of both levels together: applications with their
// instances and the interfaces that they serve, interfaces with who provides and who
// calls them, rules; and what is wrong with all of that.
package world

import (
	"maps"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

// Entry is a key in etcd. It does not change.
type Entry struct {
	keys.Key
	Value   []byte // not to be written to
	Created int64  // the revision in which the key was created
	Changed int64  // the revision in which it was put last
	Lease   int64  // that it is under; 0: none
	Puts    int64  // since it was created; 0: not known, as it was not read by Scan
}

// Application is one at application level.
type Application struct {
	Name       string
	Instances  []*Entry          // by address
	Metadata   map[string]*Entry // by revision
	Interfaces []string          // by mapping and by the metadata of its instances, sorted
}

// Uses says whether an instance has a revision.
func (a *Application) Uses(revision string) bool {
	return slices.ContainsFunc(a.Instances, func(i *Entry) bool { return i.Instance != nil && i.Instance.Revision() == revision })
}

// Interface is one, at both levels.
type Interface struct {
	Name         string
	Key          *Entry   // by which dubbo-admin finds it; nil: there is none
	Mapping      *Entry   // nil: there is none
	Applications []string // that serve it, by mapping or metadata; sorted
	Providers    []*Entry
	Consumers    []*Entry
	Overrides    []*Entry
	Routers      []*Entry
}

// Entries are how many of the interface level there are.
func (i *Interface) Entries() int {
	return len(i.Providers) + len(i.Consumers) + len(i.Overrides) + len(i.Routers)
}

// World is all that is in etcd at one moment.
type World struct {
	Applications map[string]*Application
	Interfaces   map[string]*Interface
	Rules        []*Entry // of the configuration center, by name
	Unreadable   []*Entry

	providing map[string]bool // applications, at interface level
}

// New puts the keys together.
func New(entries []*Entry) *World {
	w := &World{Applications: map[string]*Application{}, Interfaces: map[string]*Interface{}, providing: map[string]bool{}}
	slices.SortFunc(entries, func(a, b *Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range entries {
		w.add(e)
	}
	serves := map[string]map[string]bool{} // application → interfaces
	note := func(application, name string) {
		if serves[application] == nil {
			serves[application] = map[string]bool{}
		}
		serves[application][name] = true
	}
	for _, i := range w.Interfaces {
		if i.Mapping != nil {
			for _, application := range i.Mapping.Applications {
				note(application, i.Name)
			}
		}
	}
	for _, a := range w.Applications {
		for revision, m := range a.Metadata {
			if m.Metadata == nil || !a.Uses(revision) {
				continue
			}
			for _, service := range m.Metadata.Services {
				if service.Name != "" {
					note(a.Name, service.Name)
				}
			}
		}
	}
	for application, names := range serves {
		if a := w.Applications[application]; a != nil {
			a.Interfaces = slices.Sorted(maps.Keys(names))
		}
		for name := range names {
			i := w.named(name)
			i.Applications = append(i.Applications, application)
		}
	}
	for _, i := range w.Interfaces {
		slices.Sort(i.Applications)
	}
	return w
}

func (w *World) named(name string) *Interface {
	i := w.Interfaces[name]
	if i == nil {
		i = &Interface{Name: name}
		w.Interfaces[name] = i
	}
	return i
}

func (w *World) application(name string) *Application {
	a := w.Applications[name]
	if a == nil {
		a = &Application{Name: name, Metadata: map[string]*Entry{}}
		w.Applications[name] = a
	}
	return a
}

func (w *World) add(e *Entry) {
	if e.Err != nil {
		w.Unreadable = append(w.Unreadable, e)
	}
	switch e.Kind {
	case keys.Instance:
		a := w.application(e.Of)
		a.Instances = append(a.Instances, e)
	case keys.Metadata:
		w.application(e.Of).Metadata[e.Part] = e
	case keys.Mapping:
		w.named(e.Of).Mapping = e
	case keys.Interface:
		w.named(e.Of).Key = e
	case keys.Config:
		w.Rules = append(w.Rules, e)
	}
	if e.URL == nil {
		return
	}
	i := w.named(e.Of)
	switch e.Kind {
	case keys.Provider:
		i.Providers = append(i.Providers, e)
		w.providing[e.URL.Param(constant.ApplicationKey)] = true
	case keys.Consumer:
		i.Consumers = append(i.Consumers, e)
	case keys.Configurator:
		i.Overrides = append(i.Overrides, e)
	case keys.Router:
		i.Routers = append(i.Routers, e)
	}
}

// Provides says whether an application has a provider at interface level.
func (w *World) Provides(application string) bool { return w.providing[application] }

// Alive says whether an application has an instance.
func (w *World) Alive(application string) bool {
	a := w.Applications[application]
	return a != nil && len(a.Instances) > 0
}
