// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// listed has a mirror show a listing.
func listed(m *mirror, revision int64) {
	m.beginListing()
	m.replace(map[string]Change{}, revision, false)
}

// known1 is what is known of the only prefix.
func known1(m *mirror) fingerprint {
	k, _ := m.fingerprint()
	return k
}

func TestWhatIsListedLaterNeedsNoComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/", nil)
	listed(m, 5)
	k := known1(m)
	assert.False(t, m.listedSince(k))
	listed(m, 5)
	assert.True(t, m.listedSince(k))
	assert.False(t, m.listedSince(known1(m)))
}

// It may have been read from the store that is to be compared with another.
func TestWhatIsBeingListedNeedsAComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/", nil)
	listed(m, 5)
	m.beginListing()
	k := known1(m)
	m.replace(map[string]Change{}, 7, false)
	assert.False(t, m.listedSince(k))
	listed(m, 7)
	assert.True(t, m.listedSince(k))
}

func TestOnlyTheLastRestartCountsAndAnyOfAnotherStore(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/", nil)
	listed(m, 5)
	m.requestRelist(relist{fingerprint: known1(m), otherStore: true})
	listed(m, 6)
	last := known1(m)
	m.requestRelist(relist{fingerprint: last})
	assert.Equal(t, relist{fingerprint: last, otherStore: true}, <-m.relists)
	assert.Empty(t, m.relists)
}

func TestProgressNeverGoesBack(t *testing.T) {
	m := newMirror(NewHub(Config{}), "/dubbo/", nil)
	listed(m, 5)
	m.advance(9)
	m.advance(7)
	assert.EqualValues(t, 9, known1(m).revision)
}
