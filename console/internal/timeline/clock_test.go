// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is so many seconds after noon.
func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func requireBetween(t *testing.T, c *Clock, revision int64, after, before time.Time) {
	t.Helper()
	a, b := c.Between(revision)
	require.Equal(t, []time.Time{after, before}, []time.Time{a, b}, "revision %d", revision)
}

func TestAClockBoundsWhenARevisionWasMade(t *testing.T) {
	var c Clock
	requireBetween(t, &c, 5, time.Time{}, time.Time{})
	c.Note(1, 10, at(0), at(0.1))
	c.Note(1, 10, at(1), at(1.1))
	c.Note(1, 14, at(2), at(2.1))
	requireBetween(t, &c, 9, time.Time{}, at(0.1))
	requireBetween(t, &c, 10, time.Time{}, at(0.1))
	requireBetween(t, &c, 11, at(1), at(2.1))
	requireBetween(t, &c, 14, at(1), at(2.1))
	requireBetween(t, &c, 15, at(2), time.Time{})

	// etcd was away, and an answer comes late that was overtaken by another.
	c.Note(1, 20, at(60), at(60.1))
	c.Note(1, 18, at(59.9), at(60.2))
	requireBetween(t, &c, 15, at(2), at(60.1))
}

func TestAClockBeginsAnewWithAnotherStore(t *testing.T) {
	for name, note := range map[string]func(*Clock){
		"another cluster":    func(c *Clock) { c.Note(2, 20, at(5), at(5.1)) },
		"restored, or wiped": func(c *Clock) { c.Note(1, 3, at(5), at(5.1)) },
	} {
		var c Clock
		c.Note(1, 10, at(0), at(0.1))
		note(&c)
		requireBetween(t, &c, 1, time.Time{}, at(5.1))
		require.Len(t, c.samples, 1, name)
	}
}

func TestAClockForgetsTheOldest(t *testing.T) {
	var c Clock
	for i := range 3 * mostSamples {
		c.Note(1, int64(i), at(float64(i)), at(float64(i)+0.1))
	}
	require.LessOrEqual(t, len(c.samples), mostSamples)
	requireBetween(t, &c, 3*mostSamples-1, at(3*mostSamples-2), at(3*mostSamples-0.9))
	_, before := c.Between(1)
	require.False(t, before.IsZero(), "it was before the first that is remembered")
}
