// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A request was given up without an answer, long ago, and there was no other
// since: of two that come now the second waits as the first does.
func TestSilenceOfLongAgoShortensNoWait(t *testing.T) {
	o := &observer{}
	longAgo := time.Now().Add(-time.Minute).UnixNano()
	o.silentSince.Store(longAgo)
	o.lastAsked.Store(longAgo)

	assert.WithinDuration(t, time.Now().Add(time.Second), o.deadline(time.Second), 500*time.Millisecond)
	o.asked()
	assert.WithinDuration(t, time.Now().Add(time.Second), o.deadline(time.Second), 500*time.Millisecond)
}
