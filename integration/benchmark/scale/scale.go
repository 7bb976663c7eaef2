// SPDX-License-Identifier: Apache-2.0

// Package scale says how large the benchmarks are: those who run them and the
// page that shows them have to agree.
package scale

import (
	"os"
	"time"
)

// Variable is the environment variable that, unless it is empty, has every
// benchmark run with tiny sizes: to see that it runs, not to measure.
const Variable = "BENCH_QUICK"

// Quick says whether the sizes are tiny.
func Quick() bool { return os.Getenv(Variable) != "" }

// Of returns a size, or a tiny one instead.
func Of(full, quick int) int {
	if Quick() {
		return quick
	}
	return full
}

// For is Of for a length of time.
func For(full, quick time.Duration) time.Duration {
	if Quick() {
		return quick
	}
	return full
}

// Starts are the numbers of providers that a new consumer finds.
func Starts() []int { return []int{Of(1000, 50), Of(5000, 100), Of(10_000, 200)} }

// Fleets are the numbers of instances that one consumer knows, of a hundredth as
// many services.
func Fleets() []int { return []int{Of(1000, 100), Of(10_000, 200), Of(100_000, 400)} }

// Percents are the percentiles that a distribution is reported with, in units
// that are called p and the number.
var Percents = []float64{1, 5, 10, 25, 50, 75, 90, 95, 99}

// Batches are how many keys are put in a transaction; a server takes 128 at most.
var Batches = []int{1, 4, 16, 64, 127}
