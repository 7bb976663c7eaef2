// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
