// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInsideIsTrueBelowACallOnly(t *testing.T) {
	assert.False(t, Inside())
	var direct, deferred, elsewhere bool
	ok := Call("the test", "nothing", func() {
		direct = Inside()
		defer func() { deferred = Inside() }()
		other := make(chan bool)
		go func() { other <- Inside() }()
		elsewhere = <-other
	})
	assert.True(t, ok)
	assert.True(t, direct)
	assert.True(t, deferred)
	assert.False(t, elsewhere, "another goroutine may wait")
}

func TestCallSurvivesAPanic(t *testing.T) {
	assert.False(t, Call("the test", "nothing", func() { panic("expected") }))
}
