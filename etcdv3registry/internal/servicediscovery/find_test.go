// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The framework has applied the overrides of before to what GetInstances
// returned, and listens only a moment later.
func TestWhoHasAskedIsToldAgainAfterAnOverride(t *testing.T) {
	d := New(Config{})
	a := &asked{served: 7}
	d.asked["greeter"] = a
	assert.True(t, a.isCurrent(7))
	d.tellAgain()
	assert.False(t, a.isCurrent(7))
}
