// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// Who was told of no error has his key, and who was refused hears of it, whoever
// was first.
func TestOfTwoAtATimeEachHearsWhatBecameOfHisOwn(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "/bad") })
		for i := range 300 {
			good, bad := named(fmt.Sprint(i), Key{Name: fmt.Sprint("/good", i)}), named(fmt.Sprint(i), Key{Name: "/bad"})
			var registering sync.WaitGroup
			registering.Go(func() { assert.ErrorIs(t, r.Register(bad), rpctypes.ErrPermissionDenied) })
			registering.Go(func() { assert.NoError(t, r.Register(good)) })
			registering.Wait()
			require.True(t, r.Holds(good), "round %d", i)
			synctest.Wait()
			require.Contains(t, e.Keys(""), good.Key.Name, "round %d", i)
			require.NoError(t, r.Unregister(good))
		}
		assert.Empty(t, r.turns)
	})
}
