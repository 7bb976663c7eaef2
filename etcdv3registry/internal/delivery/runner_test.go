// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

func TestRunnerDoesEachThingInItsTurn(t *testing.T) {
	inTime(t, func(t *testing.T) {
		var done []Due
		r := NewRunner(nil)
		r.do = func(what Due) {
			done = append(done, what)
			if len(done) < 6 {
				r.Add(what) // without end
			}
		}
		r.Add(2)
		r.Add(1)
		r.Add(4)
		r.Add(8)
		r.Drop(8)
		synctest.Wait()
		assert.Empty(t, done, "it was not started")
		r.Start(func() {})
		synctest.Wait()
		assert.Equal(t, []Due{1, 2, 4, 1, 2, 4, 1, 2}, done)
		r.End()
	})
}

func TestRunnerIsOverOnceWhenItHasEndedAndDoesNothingMore(t *testing.T) {
	inTime(t, func(t *testing.T) {
		busy, over, done := make(chan struct{}), 0, 0
		r := NewRunner(func(Due) {
			done++
			<-busy
		})
		r.Start(func() { over++ })
		r.Add(1)
		synctest.Wait()
		r.End()
		r.End()
		r.Add(1)
		synctest.Wait()
		assert.Zero(t, over, "something is being done")
		close(busy)
		synctest.Wait()
		assert.Equal(t, 1, over)
		r.End()
		r.Add(1)
		synctest.Wait()
		assert.Equal(t, 1, over)
		assert.Equal(t, 1, done)

		idle := NewRunner(func(Due) { done++ })
		idle.Start(func() { over++ })
		idle.End()
		idle.End()
		late := NewRunner(func(Due) { done++ })
		late.Add(1)
		late.End()
		late.Start(func() { over++ })
		synctest.Wait()
		assert.Equal(t, 3, over)
		assert.Equal(t, 1, done)
	})
}

// Whatever is added is done after it was added, however the adding and the end of
// a goroutine fall together.
func TestRunnerLosesNothing(t *testing.T) {
	var (
		mu    sync.Mutex // guards what follows
		added int
		all   = make(chan struct{})
		told  = sync.OnceFunc(func() { close(all) })
	)
	r := NewRunner(func(Due) {
		mu.Lock()
		defer mu.Unlock()
		if added == 4000 {
			told()
		}
	})
	r.Start(func() {})
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 1000 {
				mu.Lock()
				added++
				mu.Unlock()
				r.Add(1)
			}
		})
	}
	adding.Wait()
	<-all
	r.End()
}
