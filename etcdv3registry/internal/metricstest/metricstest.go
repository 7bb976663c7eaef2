// SPDX-License-Identifier: Apache-2.0

// Package metricstest is a registry of dubbo-go's metrics for tests.
package metricstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/metrics"
)

// Registry keeps what it is told. Its methods may be called from any goroutine.
type Registry struct {
	mu     sync.Mutex
	values map[string]float64
}

// Use has metrics go to a registry of its own until the test ends. use is that of
// package measure.
func Use(t testing.TB, use func(metrics.MetricRegistry)) *Registry {
	r := &Registry{values: map[string]float64{}}
	use(r)
	t.Cleanup(func() { use(nil) })
	return r
}

// Values returns the values by name{labels}, without those labels that all of
// dubbo-go's metrics have. A histogram has its number of observations.
func (r *Registry) Values() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.values)
}

// value is one of them.
type value struct {
	of *Registry
	id string
}

func (r *Registry) value(id *metrics.MetricId) value {
	ofApplication := metrics.GetApplicationLevel().Tags()
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(id.Tags)) {
		if _, ok := ofApplication[name]; !ok {
			labels = append(labels, fmt.Sprintf("%s=%q", name, id.Tags[name]))
		}
	}
	return value{r, id.Name + "{" + strings.Join(labels, ",") + "}"}
}

// Set replaces the value.
func (v value) Set(to float64) {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.of.values[v.id] = to
}

// Add adds to it.
func (v value) Add(more float64) {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.of.values[v.id] += more
}

// Sub takes from it.
func (v value) Sub(less float64) { v.Add(-less) }

// Inc is Add of 1.
func (v value) Inc() { v.Add(1) }

// Dec is Sub of 1.
func (v value) Dec() { v.Add(-1) }

// Observe counts an observation.
func (v value) Observe(float64) { v.Add(1) }

// Counter is that of metrics.MetricRegistry, as are those that follow.
func (r *Registry) Counter(id *metrics.MetricId) metrics.CounterMetric { return r.value(id) }

// Gauge see Counter.
func (r *Registry) Gauge(id *metrics.MetricId) metrics.GaugeMetric { return r.value(id) }

// Histogram see Counter.
func (r *Registry) Histogram(id *metrics.MetricId) metrics.ObservableMetric { return r.value(id) }

// Summary see Counter.
func (r *Registry) Summary(id *metrics.MetricId) metrics.ObservableMetric { return r.value(id) }

// Rt see Counter.
func (r *Registry) Rt(id *metrics.MetricId, _ *metrics.RtOpts) metrics.ObservableMetric {
	return r.value(id)
}

// Export does nothing.
func (r *Registry) Export() {}
