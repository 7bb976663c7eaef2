// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"sync"
)

// graves are the addresses of providers that are gone. Somebody who still calls
// one would not be noticed by failed calls, since another one takes them over:
// so each connection that is tried is counted.
type graves struct {
	mu      sync.Mutex // guards all below
	open    map[string]net.Listener
	visited map[string]int // by address
	work    sync.WaitGroup
}

// dig listens where a provider has been.
func (g *graves) dig(address string) {
	if address == "" {
		return
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return // its successor is there already
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[string]net.Listener{}
	}
	g.open[address] = listener
	g.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			g.mu.Lock()
			if g.visited == nil {
				g.visited = map[string]int{}
			}
			g.visited[address]++
			g.mu.Unlock()
		}
	})
}

// close leaves the address to a provider.
func (g *graves) close(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if listener := g.open[address]; listener != nil {
		_ = listener.Close()
		delete(g.open, address)
	}
}

// takeVisits returns the connections that were tried since the last time, by
// address.
func (g *graves) takeVisits() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	visited := g.visited
	g.visited = nil
	return visited
}

func (g *graves) closeAll() {
	g.mu.Lock()
	for _, listener := range g.open {
		_ = listener.Close()
	}
	g.mu.Unlock()
	g.work.Wait()
}
