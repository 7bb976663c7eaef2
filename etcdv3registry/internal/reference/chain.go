// SPDX-License-Identifier: Apache-2.0

package reference

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

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// chain is the directory's chain of routers, and remembers what the directory
// has to route to: of whom it was told, and could not make an invoker, it says
// nothing, nor of whom it has ended by itself.
type chain struct {
	router.Chain
	changed chan struct{} // is sent a value when the directory has other invokers

	mu       sync.Mutex // guards invokers
	invokers []base.Invoker
}

// SetInvokers is called by the directory when it has other ones.
func (c *chain) SetInvokers(invokers []base.Invoker) {
	c.mu.Lock()
	c.invokers = invokers
	c.mu.Unlock()
	c.Chain.SetInvokers(invokers)
	delivery.Signal(c.changed)
}

// endpoints returns what the directory can call.
func (c *chain) endpoints() map[endpoint]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[endpoint]bool, len(c.invokers))
	for _, invoker := range c.invokers {
		if u := invoker.GetURL(); u != nil {
			all[endpointOf(u)] = true
		}
	}
	return all
}

// endpoint is where, and how, a provider is called.
type endpoint struct{ protocol, host, port string }

func endpointOf(u *common.URL) endpoint { return endpoint{u.Protocol, u.Ip, u.Port} }

// atOnce is how many connections are tried at a time.
const atOnce = 64

// reachable returns those IDs of which the endpoint accepts a connection, out of
// some if there are many. The framework itself would try for seconds, in which
// nobody is told of anything.
func reachable(ctx context.Context, endpoints map[string]endpoint) []string {
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
			conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(endpoints[id].host, endpoints[id].port))
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
