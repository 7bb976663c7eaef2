// SPDX-License-Identifier: Apache-2.0

package parallel

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachIsCalledOnceHoweverManyThereAre(t *testing.T) {
	for _, n := range []int{0, 1, together, 2*together - 1, 2 * together, 1000} {
		calls := make([]atomic.Int32, n)
		Each(n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			require.EqualValues(t, 1, calls[i].Load(), "%d of %d", i, n)
		}
	}
}

func TestAPanicOverOneOfManyIsTheCallers(t *testing.T) {
	for _, culprit := range []int{0, 500, 999} {
		assert.PanicsWithValue(t, "over it", func() {
			Each(1000, func(i int) {
				if i == culprit {
					panic("over it")
				}
			})
		})
	}
}
