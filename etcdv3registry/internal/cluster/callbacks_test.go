// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOnDoubtCallsEachUntilItIsUndone(t *testing.T) {
	var c Cluster
	c.doubt() // nobody wants to know
	first, second := 0, 0
	undo := c.OnDoubt(func() { first++ })
	c.OnDoubt(func() { second++ })
	c.doubt()
	undo()
	undo()
	c.doubt()
	assert.Equal(t, 1, first)
	assert.Equal(t, 2, second)
}
