// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"context"
	"sync"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// quiet is how long nothing must have been read before a listener is told.
	quiet = 50 * time.Millisecond
	// maxQuiet is how long that is waited for: callers may never stop to read.
	maxQuiet = 3 * time.Second
)

// reads is what is being read by callers of the center.
//
// A router calls AddListener, then GetRule, and applies what that returns, from
// a goroutine of its own. Were its listener told of a newer rule meanwhile, the
// older would be applied last, and stay. And it may still be under construction,
// where it is not ready to be called. So listeners are told when nothing has been
// read for a moment.
type reads struct {
	mu    sync.Mutex
	now   int       // under way
	ended time.Time // when the last one ended, or a listener was added
}

// begin notes a read; it ends with the call of what is returned.
func (r *reads) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now--
		r.ended = time.Now()
	}
}

// wait returns when it is quiet, or ctx has ended.
func (r *reads) wait(ctx context.Context) {
	for deadline := time.Now().Add(maxQuiet); time.Now().Before(deadline); {
		r.mu.Lock()
		left := quiet - time.Since(r.ended)
		if r.now > 0 {
			left = quiet
		}
		r.mu.Unlock()
		if left <= 0 || !retry.Sleep(ctx, left) {
			return
		}
	}
}
