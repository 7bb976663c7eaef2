// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

func TestAnInstanceBeginsWithItsKeyOrUnderAnotherLease(t *testing.T) {
	first := seenIn(listener.Change{Created: 5, Changed: 5, Lease: 1}, &found{}, nil)
	assert.EqualValues(t, 5, first.created)
	updated := seenIn(listener.Change{Created: 5, Changed: 7, Lease: 1}, &found{}, first)
	assert.EqualValues(t, 5, updated.created, "the same process has put it again")
	taken := seenIn(listener.Change{Created: 5, Changed: 9, Lease: 2}, &found{}, updated)
	assert.EqualValues(t, 9, taken.created, "another process has put it before the lease of the first one ran out")
	later := seenIn(listener.Change{Created: 5, Changed: 11, Lease: 2}, &found{}, taken)
	assert.EqualValues(t, 9, later.created)
	back := seenIn(listener.Change{Created: 13, Changed: 13, Lease: 2}, &found{}, later)
	assert.EqualValues(t, 13, back.created)
	cached := seenIn(listener.Change{Created: 13, Changed: 13, Lease: 2}, &found{}, &seen{})
	assert.EqualValues(t, 13, cached.created)
}

func TestInstancesAreInTheOrderOfTheirKeysHoweverTheyChange(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		c, err := d.user.Get()
		require.NoError(t, err)
		v := newView(c.Watches, d.prefix("shop"))
		defer v.feed.Close()
		require.NoError(t, v.feed.Ready(t.Context()))
		known := map[string]bool{}
		random := rand.New(rand.NewPCG(1, 2))
		for _, changes := range []int{1, 3, fewKeys + 60, 1, 5, fewKeys, 2, 2 * fewKeys, 1} {
			for range changes {
				host := fmt.Sprintf("10.0.0.%d", random.IntN(200))
				key := "/services/shop/" + host + ":20000"
				if known[key] {
					e.Delete(key)
					delete(known, key)
				} else {
					e.Put(key, fmt.Sprintf(`{"host":%q,"port":20000}`, host))
					known[key] = true
				}
			}
			require.NoError(t, v.feed.Ready(t.Context()))
			synctest.Wait()
			v.update()
			var got []string
			for _, i := range v.instances() {
				got = append(got, fmt.Sprintf("/services/shop/%s:%d", i.GetHost(), i.GetPort()))
			}
			assert.Equal(t, slices.Sorted(maps.Keys(known)), got, "after %d changes", changes)
		}
	})
}
