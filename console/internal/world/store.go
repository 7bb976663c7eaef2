// SPDX-License-Identifier: Apache-2.0

package world

import (
	"maps"
	"slices"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// Store is what feeds have told of. It is for one goroutine at a time.
type Store struct {
	Layout  keys.Layout
	entries map[string]*Entry
}

// Take takes in what changed. Entries of keys that have not changed stay as they are.
func (s *Store) Take(changes []listener.Change) {
	if s.entries == nil {
		s.entries = map[string]*Entry{}
	}
	for _, c := range changes {
		if c.Deleted {
			delete(s.entries, c.Key)
			continue
		}
		s.entries[c.Key] = &Entry{Key: s.Layout.Read(c.Key, c.Value), Value: c.Value, Created: c.Created, Changed: c.Changed, Lease: c.Lease}
	}
}

// All calls f with each entry, until it returns false.
func (s *Store) All(f func(*Entry) bool) {
	for _, e := range s.entries {
		if !f(e) {
			return
		}
	}
}

// World is what there is now.
func (s *Store) World() *World { return New(slices.Collect(maps.Values(s.entries))) }
