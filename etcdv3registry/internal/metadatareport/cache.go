// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
)

// cache is the local cache file as a report uses it: which applications served
// an interface, for a consumer that starts without etcd. An entry has the name of
// the key in etcd, which no entry of a registry has.
type cache struct {
	cfg Config

	mu     sync.Mutex // guards what follows
	file   *cachefile.File
	opened bool
	closed bool
}

// open returns the file, opened by the first use; nil: there is none.
func (c *cache) open() *cachefile.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened || c.closed || c.cfg.CachePath == nil {
		return c.file
	}
	c.opened = true
	if path := c.cfg.CachePath(); path != "" {
		c.file = cachefile.Open(path, cachefile.Config{Immediate: c.cfg.SaveAtOnce})
	}
	return c.file
}

// get returns the names saved for a key, and how long ago the file was saved.
func (c *cache) get(key string) (names []string, ago time.Duration, ok bool) {
	file := c.open()
	if file == nil {
		return nil, 0, false
	}
	names, saved, ok := file.Get(key)
	slices.Sort(names)
	return slices.Compact(names), time.Since(saved).Round(time.Second), ok
}

// set saves the names for a key, if the file can hold them. None are saved only
// over some: of most interfaces that a process asks for there is nothing to say.
func (c *cache) set(key string, names []string) {
	file := c.open()
	if file == nil {
		return
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.ContainsFunc(name, unicode.IsSpace) })
	if _, _, known := file.Get(key); known || len(names) > 0 {
		file.Set(key, names)
	}
}

func (c *cache) close() {
	c.mu.Lock()
	file := c.file
	c.file, c.closed = nil, true
	c.mu.Unlock()
	if file != nil {
		file.Close()
	}
}
