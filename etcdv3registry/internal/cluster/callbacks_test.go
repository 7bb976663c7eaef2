// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOverridesAreTheProcessOwn(t *testing.T) {
	c, d := Acquire(Config{Endpoints: []string{"a:1"}}), Acquire(Config{Endpoints: []string{"b:1"}})
	OverridesChanged(nil) // nobody wants to know
	var first, second [][]string
	undo := c.OnOverrides(func(before []string) { first = append(first, before) })
	d.OnOverrides(func(before []string) { second = append(second, before) })
	OverridesChanged([]string{"weight"})
	undo()
	undo()
	OverridesChanged([]string{"timeout"})
	assert.Equal(t, [][]string{{"weight"}}, first)
	assert.Equal(t, [][]string{{"weight"}, {"timeout"}}, second)
	require.NoError(t, c.Release(t.Context()))
	require.NoError(t, d.Release(t.Context()))
}
