// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnInstanceIsAnnouncedUntilItIsPreparedFor(t *testing.T) {
	cfg, other := Config{Endpoints: []string{"a:1", "b:1"}}, Config{Endpoints: []string{"c:1"}}
	AnnounceInstance(cfg)
	AnnounceInstance(Config{Endpoints: []string{"b:1", "a:1"}})
	c, d := Acquire(cfg), Acquire(other)
	assert.True(t, c.Announced())
	assert.False(t, d.Announced())
	require.NoError(t, d.PrepareInstance())
	assert.True(t, c.Announced())
	require.NoError(t, c.PrepareInstance())
	assert.False(t, c.Announced())
	AnnounceInstance(cfg) // the framework makes a Discovery for each service, and drops it
	assert.False(t, c.Announced())

	require.NoError(t, c.Release(t.Context()))
	require.NoError(t, d.Release(t.Context()))
	AnnounceInstance(cfg) // a process that starts anew
	c = Acquire(cfg)
	assert.True(t, c.Announced())
	require.NoError(t, c.Release(t.Context()))
}

func TestAllThatBelongsToAnInstanceIsPreparedAtOnce(t *testing.T) {
	c, d := Acquire(Config{Endpoints: []string{"a:1"}}), Acquire(Config{Endpoints: []string{"b:1"}})
	var calls atomic.Int32
	all := make(chan struct{})
	var undo []func()
	for _, on := range []*Cluster{c, c, d} {
		undo = append(undo, on.BeforeInstance(func() error {
			if calls.Add(1) == 3 {
				close(all)
			}
			<-all
			return errors.New("refused")
		}))
	}
	assert.EqualError(t, c.PrepareInstance(), "refused\nrefused\nrefused")
	for _, f := range undo {
		f()
	}
	assert.NoError(t, c.PrepareInstance())
	assert.NoError(t, c.Release(t.Context()))
	assert.NoError(t, d.Release(t.Context()))
}
