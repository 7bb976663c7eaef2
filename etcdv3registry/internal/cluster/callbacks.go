// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"sync"
)

// OnOverrides has f called when the framework has been told of other dynamic
// overrides than before, with the names of the parameters that those before set.
// f is called from any goroutine and must not block; after undo it may be called
// once more, by somebody who is about to.
func (c *Cluster) OnOverrides(f func(before []string)) (undo func()) {
	return c.overrides.add(f)
}

// OverridesChanged calls what was given to OnOverrides, of all clusters of this
// process: the config center's need not be the registry's.
func OverridesChanged(before []string) {
	for _, c := range inUse() {
		for _, f := range c.overrides.now() {
			f(before)
		}
	}
}

// callbacks are what is called on one occasion.
type callbacks[F any] struct {
	mu  sync.Mutex // guards what follows
	all map[*F]struct{}
}

func (c *callbacks[F]) add(f F) (undo func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[*F]struct{}{}
	}
	c.all[&f] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.all, &f)
	}
}

// now returns what is to be called, by the caller.
func (c *callbacks[F]) now() (all []F) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.all {
		all = append(all, *f)
	}
	return all
}

// Nobody looks for what belongs to an instance (which services its application
// has, and their metadata) before the instance is registered. Who is to write it
// while a process starts may therefore write all of it at once, and later, if
// somebody waits for it then: whoever registers instances announces that early,
// and calls PrepareInstance before.

// AnnounceInstance notes that PrepareInstance of the cluster that cfg names is
// going to be called before an instance is registered there. It costs nothing,
// and is not taken back. It holds until the first PrepareInstance: when a process
// has started, there may be no other to wait for.
func AnnounceInstance(cfg Config) {
	table.mu.Lock()
	defer table.mu.Unlock()
	if _, known := table.announced[cfg.id()]; !known {
		table.announced[cfg.id()] = true
	}
}

// Announced reports whether an instance is announced, for which
// PrepareInstance has not been called yet.
func (c *Cluster) Announced() bool {
	table.mu.Lock()
	defer table.mu.Unlock()
	return table.announced[c.cfg.id()]
}

// BeforeInstance has f called by PrepareInstance of any cluster, from any
// goroutine. f returns when what it was to write is in etcd, or is given up; after
// undo it may be called once more, by somebody who is about to.
func (c *Cluster) BeforeInstance(f func() error) (undo func()) {
	return c.preparing.add(f)
}

// PrepareInstance is for who is about to register an instance on the cluster. It
// calls what was given to BeforeInstance, all at once, of all clusters of this
// process: the metadata report's need not be the registry's. An error is a reason
// not to register the instance.
func (c *Cluster) PrepareInstance() error {
	table.mu.Lock()
	if table.announced[c.cfg.id()] {
		table.announced[c.cfg.id()] = false
	}
	table.mu.Unlock()
	var all []func() error
	for _, each := range inUse() {
		all = append(all, each.preparing.now()...)
	}
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, f := range all {
		running.Go(func() { errs[i] = f() })
	}
	running.Wait()
	return errors.Join(errs...)
}
