// SPDX-License-Identifier: Apache-2.0

// Package measure tells dubbo-go's metrics what happens in this process. It costs
// next to nothing where they are not switched on.
//
// dubbo-go's metrics are told values, they do not ask for them. So what is a state,
// or is counted anyhow, is told every Interval by who has it; what has to be seen as
// it happens is told then.
package measure

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"
)

// Interval is how often states are told: more often than anybody looks.
const Interval = 5 * time.Second

// target is where metrics go.
type target struct {
	metrics.MetricRegistry
	application map[string]string // the labels of all of dubbo-go's metrics
}

// on is nil until the metrics are switched on.
var on atomic.Pointer[target]

// switched are the functions to be called when they are.
var switched struct {
	mu  sync.Mutex // guards what follows
	all []func()
}

func init() {
	metrics.AddCollector("etcdv3", func(r metrics.MetricRegistry, _ *common.URL) { Use(r) })
}

// Use has metrics go to a registry of dubbo-go's; nil switches them off.
func Use(r metrics.MetricRegistry) {
	if r == nil {
		on.Store(nil)
		return
	}
	on.Store(&target{r, metrics.GetApplicationLevel().Tags()})
	switched.mu.Lock()
	all := switched.all
	switched.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// On reports whether metrics are switched on.
func On() bool { return on.Load() != nil }

// Switched has f called whenever metrics are switched on.
func Switched(f func()) {
	switched.mu.Lock()
	defer switched.mu.Unlock()
	switched.all = append(switched.all, f)
}

// id returns what the registry knows a metric by, with labels besides those of the
// application.
func (t *target) id(m Metric, labels ...map[string]string) *metrics.MetricId {
	all := maps.Clone(t.application)
	for _, l := range labels {
		maps.Copy(all, l)
	}
	return metrics.NewMetricIdByLabels(metrics.NewMetricKey(m.Name, m.Help), all)
}

// skipped is how many keys were, of all clusters.
var skipped atomic.Uint64

// Skip counts a key that cannot be used, as it is.
func Skip() {
	skipped.Add(1)
	if t := on.Load(); t != nil {
		t.Counter(t.id(SkippedKeys)).Inc()
	}
}

// Skipped is how many there were since the process began.
func Skipped() uint64 { return skipped.Load() }

// ListTold tells dubbo-go's metrics that a directory was told a list, which took
// since start. Of a single change it tells them itself.
func ListTold(start time.Time) { metrics.Publish(metricsRegistry.NewNotifyEvent(start)) }
