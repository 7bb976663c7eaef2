// SPDX-License-Identifier: Apache-2.0

// Package invokers tells what a directory of the framework has made of what it was
// told.
//
// The framework (v3.3.2) leaves out whom it cannot connect to, and whom a provider has
// told it that he is about to stop, without a word, and never tries again by itself:
// somebody has to look, and to tell it once more.
package invokers

import (
	"sync"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
)

// Chain is a directory's chain of routers, and remembers what the directory has to
// route to: of whom it was told, and could not make an invoker, it says nothing, nor of
// whom it has ended by itself.
type Chain struct {
	router.Chain
	Changed func() // is called when the directory has other invokers; it must not block

	mu       sync.Mutex // guards invokers
	invokers []base.Invoker
}

// SetInvokers is called by the directory when it has other ones.
func (c *Chain) SetInvokers(invokers []base.Invoker) {
	c.mu.Lock()
	c.invokers = invokers
	c.mu.Unlock()
	c.Chain.SetInvokers(invokers)
	if c.Changed != nil {
		c.Changed()
	}
}

// Invokers returns what the directory can call. It is not to be changed.
func (c *Chain) Invokers() []base.Invoker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invokers
}

// Endpoints returns where the directory can call somebody.
func (c *Chain) Endpoints() map[Endpoint]bool {
	invokers := c.Invokers()
	all := make(map[Endpoint]bool, len(invokers))
	for _, invoker := range invokers {
		if u := invoker.GetURL(); u != nil {
			all[EndpointOf(u)] = true
		}
	}
	return all
}

// Endpoint is where, and how, a provider is called. Of two at one endpoint it cannot be
// told which of them the directory has.
type Endpoint struct{ Protocol, Host, Port string }

// EndpointOf is that of a provider.
func EndpointOf(u *common.URL) Endpoint { return Endpoint{u.Protocol, u.Ip, u.Port} }
