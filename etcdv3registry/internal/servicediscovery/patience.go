// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"sync"
	"time"
)

// forgiven is after how long waits in vain are forgotten.
const forgiven = 30 * time.Second

// Patience is how long a process that starts waits for what does not come: not
// for each reference, but in all. The zero value is ready.
type Patience struct {
	mu    sync.Mutex // guards what follows
	spent time.Duration
	last  time.Time
}

// Left is how much is left of a time.
func (p *Patience) Left(of time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) > forgiven {
		p.spent = 0
	}
	return max(0, of-p.spent)
}

// Spend notes a wait in vain.
func (p *Patience) Spend(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += d
	p.last = time.Now()
}
