// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// listed has a mirror show a listing.
func listed(m *mirror, revision int64) {
	m.beginListing()
	m.replace(map[string]value{}, revision, false)
}

func TestWhatIsListedLaterNeedsNoComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/")
	listed(m, 5)
	k := m.known()
	assert.False(t, m.listedSince(k))
	listed(m, 5)
	assert.True(t, m.listedSince(k))
	assert.False(t, m.listedSince(m.known()))
}

// It may have been read from the store that is to be compared with another.
func TestWhatIsBeingListedNeedsAComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/")
	listed(m, 5)
	m.beginListing()
	k := m.known()
	m.replace(map[string]value{}, 7, false)
	assert.False(t, m.listedSince(k))
	listed(m, 7)
	assert.True(t, m.listedSince(k))
}

func TestOnlyTheLastRestartCounts(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/")
	listed(m, 5)
	m.restart(m.known())
	listed(m, 6)
	last := m.known()
	m.restart(last)
	assert.Equal(t, last, <-m.restarts)
	assert.Empty(t, m.restarts)
}

func TestProgressNeverGoesBack(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/")
	listed(m, 5)
	m.advance(9)
	m.advance(7)
	assert.EqualValues(t, 9, m.known().revision)
}
