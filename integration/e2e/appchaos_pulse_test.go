// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"sync"
	"testing"
	"time"
)

const (
	pulseInterval = 20 * time.Millisecond
	// starving is how much later than asked for the test is woken on a machine
	// that has no time for its processes either: leases run out, and calls fail,
	// by nobody's fault.
	starving = 300 * time.Millisecond
)

// pulse knows when the machine had no time.
type pulse struct {
	mu     sync.Mutex // guards what follows
	latest time.Time  // the last time that it was starving
}

func newPulse(t testing.TB) *pulse {
	p := &pulse{}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			asked := time.Now()
			select {
			case <-end:
				return
			case <-time.After(pulseInterval):
			}
			if time.Since(asked)-pulseInterval > starving {
				p.mu.Lock()
				p.latest = time.Now()
				p.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		close(end)
		<-ended
	})
	return p
}

// starved reports whether the machine had no time since then, or for so long
// before that leases may have run out since.
func (p *pulse) starved(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest.After(since.Add(-2 * chaosSession))
}
