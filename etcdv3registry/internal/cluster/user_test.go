// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

func TestAUserCostsNothingUntilItIsUsed(t *testing.T) {
	u := NewUser(Config{Endpoints: []string{"a:1"}})
	assert.Empty(t, inUse())
	c, err := u.Get()
	require.NoError(t, err)
	again, err := u.Get()
	require.NoError(t, err)
	assert.Same(t, c, again)
	assert.Equal(t, []*Cluster{c}, inUse())
	require.NoError(t, u.Close(t.Context()))
	assert.Empty(t, inUse(), "Get acquires it once")
}

func TestAUserThatIsClosedIsOfNoUseToAnybody(t *testing.T) {
	used, unused := NewUser(Config{Endpoints: []string{"a:1"}}), NewUser(Config{Endpoints: []string{"a:1"}})
	other := Acquire(Config{Endpoints: []string{"a:1"}})
	_, err := used.Get()
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, used.Close(t.Context()))
		require.NoError(t, unused.Close(t.Context()))
		for _, u := range []*User{used, unused} {
			_, err = u.Get()
			require.ErrorIs(t, err, ErrClosed)
			_, err = u.Desired()
			require.ErrorIs(t, err, ErrClosed)
		}
		assert.Equal(t, []*Cluster{other}, inUse(), "each was released once")
	}
	require.NoError(t, other.Release(t.Context()))
}

func TestTheKeysOfAUserGoWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		u := NewUser(of(t, e, 0, "a:1"))
		d, err := u.Desired()
		require.NoError(t, err)
		require.NoError(t, d.Put(desired.Key{Name: "/dubbo/mine"}).Wait(t.Context()))
		require.NoError(t, u.Close(t.Context()))
		assert.Empty(t, e.Keys(""))
	})
}

func TestACallOfTheFrameworkWaitsForItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Acquire(Config{Endpoints: []string{"a:1"}})
		ctx, cancel := c.Waiting(3 * time.Second)
		defer cancel()
		begun := time.Now()
		<-ctx.Done()
		assert.Equal(t, 3*time.Second, time.Since(begun))
		require.NoError(t, c.Release(t.Context()))
	})
}
