// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"sync"
	"time"
)

// pace is how soon a stream may follow those that broke at once. etcd's client opens
// another without delay, and everything is watched again on it: if a proxy ends each,
// that would never stop. The zero value is ready.
type pace struct {
	mu    sync.Mutex // guards what follows
	brief map[string]int
}

// wait returns how long to wait before a stream of a method is opened.
func (p *pace) wait(method string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	brief := p.brief[method]
	if brief < 3 {
		return 0
	}
	return min(100*time.Millisecond<<min(brief-3, 6), 5*time.Second)
}

// ended notes how long a stream has lasted, and whether it broke: else it was ended
// here, as there was nothing left to watch.
func (p *pace) ended(method string, lasted time.Duration, broke bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.brief == nil {
		p.brief = map[string]int{}
	}
	if broke && lasted < time.Second {
		p.brief[method]++
	} else {
		p.brief[method] = 0
	}
}
