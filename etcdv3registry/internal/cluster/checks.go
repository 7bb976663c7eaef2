// SPDX-License-Identifier: Apache-2.0

package cluster

import "sync"

// checks is what is called when etcd may be another store than before.
type checks struct {
	mu  sync.Mutex // guards what follows
	all map[*func()]struct{}
}

// OnReconnect has f called when requests go over a new connection or a new
// stream: what is behind it may lack what was there (a store that was emptied,
// or restored from a backup). f is called from any goroutine and must not block;
// after undo it may be called once more, by somebody who is about to.
func (c *Cluster) OnReconnect(f func()) (undo func()) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if c.checks.all == nil {
		c.checks.all = map[*func()]struct{}{}
	}
	c.checks.all[&f] = struct{}{}
	return func() {
		c.checks.mu.Lock()
		defer c.checks.mu.Unlock()
		delete(c.checks.all, &f)
	}
}

func (c *checks) run() {
	c.mu.Lock()
	all := make([]*func(), 0, len(c.all))
	for f := range c.all {
		all = append(all, f)
	}
	c.mu.Unlock()
	for _, f := range all {
		(*f)()
	}
}
