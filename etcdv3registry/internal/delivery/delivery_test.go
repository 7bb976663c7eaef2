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
			s.Do("anything", func() {
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
	s.Do("anything", func() { t.Error("called after Close") })
	assert.True(t, s.Closed())
}

func TestClosingFromInsideACallDoesNotWaitForIt(t *testing.T) {
	var a, b Serial
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Do("anything", func() {
			assert.True(t, Inside())
			b.Close()
			a.Close()
		})
	}()
	<-done
	assert.False(t, Inside())
}

func TestAPanicIsTheListenersOwn(t *testing.T) {
	assert.False(t, Call("anything", func() { panic("a fault") }))
	assert.True(t, Call("anything", func() {}))
	var s Serial
	s.Do("anything", func() { panic("a fault") })
	called := false
	s.Do("anything", func() { called = true })
	assert.True(t, called)
}
