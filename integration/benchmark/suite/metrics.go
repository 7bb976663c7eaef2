// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/used"
)

// once runs f, which measures for itself and reports its metrics, once, whatever
// -benchtime is.
func once(b *testing.B, f func()) {
	for done := false; b.Loop(); done = true {
		if !done {
			f()
		}
	}
	b.ReportMetric(0, "ns/op") // is not printed: it is of the whole, with all that is not measured
}

func reportTime(b *testing.B, d time.Duration, unit string) { b.ReportMetric(float64(d), unit+"-ns") }

// distribution is how long something took, several times.
type distribution []time.Duration

// report reports its percentiles, as far as there are any, and the greatest.
func (d distribution) report(b *testing.B) {
	if len(d) == 0 {
		return
	}
	slices.Sort(d)
	for _, p := range scale.Percents {
		reportTime(b, d[int(float64(len(d)-1)*p/100+0.5)], fmt.Sprintf("p%g", p))
	}
	reportTime(b, d[len(d)-1], "max")
}

func (d distribution) median() time.Duration {
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// reportArrived reports of what was to happen how often it did, and how long it
// was waited for.
func reportArrived(b *testing.B, arrived, wanted int, waited time.Duration) {
	b.ReportMetric(float64(arrived), "arrived")
	b.ReportMetric(float64(wanted), "wanted")
	b.ReportMetric(waited.Seconds(), "s-of-patience")
}

// usage is what this process has used until now.
type usage struct {
	at      time.Time
	cpu     time.Duration
	written int64 // bytes, to a disk
}

func usedBy(b *testing.B) usage {
	b.Helper()
	return usage{time.Now(), used.CPU(), written()}
}

// written is what Linux has counted; elsewhere nothing is.
func written() int64 {
	file, err := os.Open("/proc/self/io")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), "write_bytes: "); ok {
			n, _ := strconv.ParseInt(number, 10, 64)
			return n
		}
	}
	return 0
}

// share returns which part of one core was used since before, in percent.
func (u usage) share(before usage) float64 {
	return 100 * float64(u.cpu-before.cpu) / float64(u.at.Sub(before.at))
}

// heap is how many bytes are in use, when all else has been collected.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
