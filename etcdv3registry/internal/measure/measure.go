// SPDX-License-Identifier: Apache-2.0

// Package measure counts what happens in this process, for dubbo-go's metrics. It
// costs nothing where they are not switched on.
package measure

import (
	"sync/atomic"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metrics"
)

// skipped is nil until the metrics are switched on.
var skipped atomic.Pointer[metrics.CounterMetric]

func init() {
	metrics.AddCollector("etcdv3", func(r metrics.MetricRegistry, _ *common.URL) {
		counter := r.Counter(metrics.NewMetricId(
			metrics.NewMetricKey("dubbo_registry_etcd_skipped_keys_total", "Keys in etcd, or parts of them, that could not be used"),
			metrics.GetApplicationLevel()))
		skipped.Store(&counter)
	})
}

// Skipped counts a key that cannot be used, as it is.
func Skipped() {
	if counter := skipped.Load(); counter != nil {
		(*counter).Inc()
	}
}
