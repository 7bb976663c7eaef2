// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"runtime"
	"sync"
	"sync/atomic"

	"dubbo.apache.org/dubbo-go/v3/common"
)

// readTogether is how many keys one goroutine reads before it looks for more: to
// parse them is most of what a start costs, and takes as long as to start a few
// goroutines for each of them.
const readTogether = 32

// meaning is what a key says.
type meaning struct {
	url *common.URL // nil: nothing
	id  string      // of the View
	err error
}

// readAll returns what some keys say, in their order. It reads on as many cores as
// there are.
func (v View) readAll(changes []Change) []meaning {
	all := make([]meaning, len(changes))
	each(len(changes), func(i int) { all[i] = v.meaningOf(changes[i].Key) })
	return all
}

func (v View) meaningOf(key string) meaning {
	u, err := v.Read(key)
	if u == nil {
		return meaning{err: err}
	}
	return meaning{url: u, id: v.ID(key, u), err: err}
}

// each calls f for each number below n, in several goroutines if they are many. It
// returns when all calls have, and panics if one did.
func each(n int, f func(i int)) {
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
			from := int(next.Add(readTogether)) - readTogether
			if from >= n {
				return
			}
			for i := from; i < min(from+readTogether, n); i++ {
				f(i)
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/readTogether) - 1 {
		others.Go(some)
	}
	some()
	others.Wait()
	if r := panicked.Load(); r != nil {
		panic(*r)
	}
}
