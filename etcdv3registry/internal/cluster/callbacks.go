// SPDX-License-Identifier: Apache-2.0

package cluster

import "sync"

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
