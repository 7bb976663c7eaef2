// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCallsAreOneAtATimeAndNoneComesAfterClose(t *testing.T) {
	var s Serial
	var inside, calls int // the race detector tells if two calls overlap
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			s.Do("the test", "nothing", func() {
				inside++
				assert.Equal(t, 1, inside)
				calls++
				inside--
			})
		})
	}
	callers.Wait()
	assert.Equal(t, 50, calls)
	s.Close()
	s.Close()
	s.Do("the test", "nothing", func() { t.Error("called after Close") })
	assert.True(t, s.Closed())
}

func TestClosingFromInsideACallDoesNotWaitForIt(t *testing.T) {
	var a, b Serial
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Do("the test", "nothing", func() {
			assert.True(t, Inside())
			elsewhere := make(chan bool)
			go func() { elsewhere <- Inside() }()
			assert.False(t, <-elsewhere, "another goroutine may wait")
			b.Close()
			a.Close()
		})
	}()
	<-done
	assert.False(t, Inside())
}

func TestAPanicIsTheListenersOwn(t *testing.T) {
	assert.False(t, Call("the test", "nothing", func() { panic("a fault") }))
	assert.True(t, Call("the test", "nothing", func() {}))
	var s Serial
	s.Do("the test", "nothing", func() { panic("a fault") })
	called := false
	s.Do("the test", "nothing", func() { called = true })
	assert.True(t, called)
}
