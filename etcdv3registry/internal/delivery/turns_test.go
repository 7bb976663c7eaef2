// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

func TestTurnsOfOneNameAreOneAfterAnother(t *testing.T) {
	var turns Turns
	names := []string{"a", "b", "c", "d"}
	inside := make([]int, len(names)) // the race detector tells if two are inside
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			i, j := rand.IntN(len(names)), rand.IntN(len(names))
			release, ok := turns.Take(t.Context(), names[i], names[j])
			assert.True(t, ok)
			inside[i]++
			inside[j]++
			release()
		})
	}
	all.Wait()
	assert.Empty(t, turns.turns, "nothing is left")
}

func TestWhoGivesUpWaitingForATurnHasNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns Turns
		release, ok := turns.Take(t.Context(), "b")
		assert.True(t, ok)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan bool)
		go func() {
			_, ok := turns.Take(ctx, "b", "a")
			gaveUp <- !ok
		}()
		synctest.Wait() // it has a, and waits for b
		cancel()
		assert.True(t, <-gaveUp)
		releaseA, ok := turns.Take(t.Context(), "a")
		assert.True(t, ok, "it was given back")
		releaseA()
		release()
		assert.Empty(t, turns.turns)
	})
}
