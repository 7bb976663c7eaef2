// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// lags counts durations by their size, 5 % apart, so that those of several
// processes can be joined.
type lags map[int]int

const lagStep = 1.05

func (l lags) add(d time.Duration) { l.addMany(d, 1) }

func (l lags) addMany(d time.Duration, n int) {
	l[int(math.Ceil(math.Log(max(1, float64(d.Microseconds())))/math.Log(lagStep)))] += n
}

func (l lags) join(other lags) {
	for size, n := range other {
		l[size] += n
	}
}

func (l lags) count() (n int) {
	for _, m := range l {
		n += m
	}
	return n
}

// quantile returns what a share of the durations does not exceed; of none, 0.
func (l lags) quantile(share float64) time.Duration {
	total, seen := l.count(), 0
	if total == 0 {
		return 0
	}
	largest := 0
	for size := range l {
		largest = max(largest, size)
	}
	for size := range largest + 1 {
		if seen += l[size]; float64(seen) >= share*float64(total) {
			return duration(size)
		}
	}
	return duration(largest)
}

func duration(size int) time.Duration {
	return time.Duration(math.Pow(lagStep, float64(size))) * time.Microsecond
}

func TestQuantilesOfLags(t *testing.T) {
	all := lags{}
	assert.Zero(t, all.quantile(0.5))
	for i := range 50 {
		all.add(time.Duration(i+1) * time.Millisecond)
	}
	more := lags{}
	for i := range 50 {
		more.add(time.Duration(i+51) * time.Millisecond)
	}
	all.join(more)
	assert.Equal(t, 100, all.count())
	for share, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		assert.InEpsilon(t, want, all.quantile(share), 0.06)
	}
}
