// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOnReconnectCallsEachUntilItIsUndone(t *testing.T) {
	var c Cluster
	c.reconnected.call(struct{}{}) // nobody wants to know
	first, second := 0, 0
	undo := c.OnReconnect(func() { first++ })
	c.OnReconnect(func() { second++ })
	c.reconnected.call(struct{}{})
	undo()
	undo()
	c.reconnected.call(struct{}{})
	assert.Equal(t, 1, first)
	assert.Equal(t, 2, second)
}
