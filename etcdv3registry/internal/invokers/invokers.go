// SPDX-License-Identifier: Apache-2.0

// Package invokers tells what a directory of the framework has made of what it was
// told.
//
// The framework (v3.3.2) leaves out whom it cannot connect to, and whom a provider has
// told it that he is about to stop, without a word, and never tries again by itself:
// somebody has to look, and to tell it once more.
package invokers

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
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

// Endpoint is where, and how, a provider is called.
type Endpoint struct{ Protocol, Host, Port string }

// EndpointOf is that of a provider.
func EndpointOf(u *common.URL) Endpoint { return Endpoint{u.Protocol, u.Ip, u.Port} }

// atOnce is how many connections are tried at a time.
const atOnce = 64

// Reachable returns those IDs of which the endpoint accepts a connection, out of
// some if there are many. The framework itself would try for seconds, in which
// nobody is told of anything.
func Reachable(ctx context.Context, endpoints map[string]Endpoint) []string {
	ids := slices.Collect(maps.Keys(endpoints))
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), atOnce)]
	var (
		dialer  = net.Dialer{Timeout: time.Second}
		dialing sync.WaitGroup
		mu      sync.Mutex // guards all
		all     []string
	)
	for _, id := range ids {
		dialing.Go(func() {
			conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(endpoints[id].Host, endpoints[id].Port))
			if err != nil {
				return
			}
			_ = conn.Close()
			mu.Lock()
			defer mu.Unlock()
			all = append(all, id)
		})
	}
	dialing.Wait()
	return all
}

// Absent is how many of a service's providers a directory lacks, look after look. It is
// for one goroutine at a time; Service is to be set.
type Absent struct {
	Service string

	lacks    int             // at the last look
	tries    int             // in a row, at which it lacked somebody
	schedule backoff.BackOff // of those
}

// worthALine is after how many tries in a row, the first of them in one or two
// seconds, the log is told: most of those who are about to stop are gone by then.
const worthALine = 5

// Look takes in how many of all providers are lacking, and reports whether somebody is
// who was not before, or nobody any more: then there is another plan.
func (a *Absent) Look(lacking, all int) (another bool) {
	another = lacking > a.lacks || lacking == 0 && a.lacks > 0
	a.lacks = lacking
	if lacking == 0 && a.tries >= worthALine {
		logger.Infof("[etcdv3] all %d provider(s) of %s can be called", all, a.Service)
	}
	if lacking == 0 {
		a.tries = 0
	}
	if another {
		a.schedule = retry.Backoff(200*time.Millisecond, 10*time.Second).BackOff()
	}
	return another
}

// Next is in how long those who are lacking are to be tried, after a Look.
func (a *Absent) Next() time.Duration { return a.schedule.NextBackOff() }

// Try takes in that those who are lacking are tried now.
func (a *Absent) Try(lacking, all int) {
	if a.tries++; a.tries == worthALine {
		logger.Warnf("[etcdv3] %d of %d provider(s) of %s cannot be called: there is no connection to them, or they are about to stop; tried again in the background",
			lacking, all, a.Service)
	}
}
