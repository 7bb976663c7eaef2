// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

func TestLimitsAreLoweredByWhatIsRefusedForThem(t *testing.T) {
	var l Limits
	assert.Equal(t, 128, l.Ops())
	assert.Equal(t, 1<<20, l.Bytes())
	assert.False(t, l.Learn(nil, 128, 1000))
	assert.False(t, l.Learn(errors.New("something else"), 128, 1000))
	assert.False(t, l.Learn(rpctypes.ErrPermissionDenied, 128, 1000))

	assert.True(t, l.Learn(fmt.Errorf("write: %w", rpctypes.ErrTooManyOps), 100, 1000))
	assert.Equal(t, 50, l.Ops())
	assert.True(t, l.Learn(rpctypes.ErrTooManyOps, 50, 1000))
	assert.Equal(t, 25, l.Ops())
	assert.False(t, l.Learn(rpctypes.ErrTooManyOps, 50, 1000), "another one has learned that already")
	assert.Equal(t, 25, l.Ops())
	assert.False(t, l.Learn(rpctypes.ErrTooManyOps, 1, 1000), "there is nothing smaller")

	assert.True(t, l.Learn(rpctypes.ErrRequestTooLarge, 1, 1<<20))
	assert.Equal(t, 1<<19, l.Bytes())
	assert.False(t, l.Learn(rpctypes.ErrRequestTooLarge, 1, 0), "it is not known how large it was")
	assert.Equal(t, 25, l.Ops())
}
