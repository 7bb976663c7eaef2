// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metrics"
)

// Set is the metrics that have the same labels. Its methods do nothing while
// metrics are not switched on, and may be called from any goroutine.
type Set struct {
	labels map[string]string
	lag    atomic.Pointer[observing]

	mu   sync.Mutex        // guards what follows
	told map[string]uint64 // what counters were told, by name and labels
	to   *target           // who was
}

// observing is a histogram of one target.
type observing struct {
	of *target
	metrics.ObservableMetric
}

// NewSet returns a set with labels, pairs of a name and a value.
func NewSet(labels ...string) *Set { return &Set{labels: pairs(labels), told: map[string]uint64{}} }

func pairs(list []string) map[string]string {
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// Gauge tells a state.
func (s *Set) Gauge(m Metric, value float64) {
	if t := on.Load(); t != nil {
		t.Gauge(t.id(m, s.labels)).Set(value)
	}
}

// Flag is Gauge of 1 or 0.
func (s *Set) Flag(m Metric, value bool) {
	if value {
		s.Gauge(m, 1)
	} else {
		s.Gauge(m, 0)
	}
}

// Count tells how much there was up to now, with more labels.
func (s *Set) Count(m Metric, total uint64, labels ...string) {
	t := on.Load()
	if t == nil {
		return
	}
	if more, something := s.since(t, m.Name+"\x00"+strings.Join(labels, "\x00"), total); something {
		t.Counter(t.id(m, s.labels, pairs(labels))).Add(float64(more))
	}
}

// since returns how much there is of a counter that the target was not told, if it
// is to be: it is for the first time, even if that is nothing.
func (s *Set) since(t *target, counter string, total uint64) (more uint64, something bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to != t {
		s.to = t
		clear(s.told)
	}
	before, known := s.told[counter]
	if known && total <= before {
		return 0, false
	}
	s.told[counter] = total
	return total - before, true
}

// Lag tells how long after its receipt a change was told.
func (s *Set) Lag(d time.Duration) {
	t := on.Load()
	if t == nil {
		return
	}
	h := s.lag.Load()
	if h == nil || h.of != t {
		h = &observing{t, t.Histogram(t.id(WatchLag, s.labels))}
		s.lag.Store(h)
	}
	h.Observe(d.Seconds())
}
