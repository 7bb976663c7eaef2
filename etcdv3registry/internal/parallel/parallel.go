// SPDX-License-Identifier: Apache-2.0

// Package parallel reads many keys on as many cores as there are: to decode them is
// most of what a start costs.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// together is how many calls one goroutine makes before it looks for more: they take
// as long as to start a few goroutines.
const together = 32

// Each calls f for each number below n, in several goroutines if they are many. It
// returns when all calls have, and panics if one did.
func Each(n int, f func(i int)) {
	var (
		next     atomic.Int64
		panicked atomic.Pointer[any]
	)
	some := func() {
		defer func() {
			if r := recover(); r != nil {
				panicked.Store(&r)
			}
		}()
		for panicked.Load() == nil {
			from := int(next.Add(together)) - together
			if from >= n {
				return
			}
			for i := from; i < min(from+together, n); i++ {
				f(i)
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/together) - 1 {
		others.Go(some)
	}
	some()
	others.Wait()
	if r := panicked.Load(); r != nil {
		panic(*r)
	}
}
