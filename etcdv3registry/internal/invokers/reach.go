// SPDX-License-Identifier: Apache-2.0

package invokers

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// atOnce is how many connections a process tries at a time, and how many a
	// directory has tried.
	atOnce = 64
	// fresh is how long it is known whether an address can be reached: the references
	// to the services of a process ask for the same ones.
	fresh = time.Second
)

// Reachable returns those IDs of which the endpoint accepts a connection, out of
// some if there are many. The framework itself would try for seconds, in which
// nobody is told of anything.
func Reachable(ctx context.Context, endpoints map[string]Endpoint) []string {
	ids := slices.Collect(maps.Keys(endpoints))
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), atOnce)]
	reached := make([]bool, len(ids))
	var trying sync.WaitGroup
	for i, id := range ids {
		trying.Go(func() {
			reached[i] = process.reaches(ctx, net.JoinHostPort(endpoints[id].Host, endpoints[id].Port))
		})
	}
	trying.Wait()
	var all []string
	for i, id := range ids {
		if reached[i] {
			all = append(all, id)
		}
	}
	return all
}

// process has the attempts of all references of a process.
var process = prober{slots: make(chan struct{}, atOnce), attempts: map[string]*attempt{}}

type prober struct {
	slots chan struct{} // has as many values as connections are being tried

	mu       sync.Mutex // guards attempts
	attempts map[string]*attempt
}

// attempt is what is known of an address.
type attempt struct {
	sync.Mutex // is held while it is tried; guards what follows
	reached    bool
	at         time.Time
}

// reaches reports whether an address accepts a connection, now or a moment ago.
func (p *prober) reaches(ctx context.Context, address string) bool {
	a := p.attemptOf(address)
	a.Lock()
	defer a.Unlock()
	if time.Since(a.at) < fresh {
		return a.reached
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-p.slots }()
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if ctx.Err() != nil {
		return false // which says nothing to others
	}
	a.reached, a.at = err == nil, time.Now()
	if err == nil {
		_ = conn.Close()
	}
	return a.reached
}

// attemptOf returns the attempt at an address, and forgets those of long ago.
func (p *prober) attemptOf(address string) *attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.attempts) > 4*atOnce {
		maps.DeleteFunc(p.attempts, func(_ string, a *attempt) bool {
			if !a.TryLock() {
				return false
			}
			defer a.Unlock()
			return time.Since(a.at) > fresh
		})
	}
	if p.attempts[address] == nil {
		p.attempts[address] = &attempt{}
	}
	return p.attempts[address]
}
