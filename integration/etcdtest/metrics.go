// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Names of series that tests count by. All are there with etcd's default
// --metrics=basic; "extensive" adds only the histograms of how long gRPC
// requests took.
const (
	// MetricRequests counts RPCs that were begun, unary ones and streams, by
	// the labels grpc_service and grpc_method ("Range", "Put", "Txn",
	// "LeaseGrant", "Watch", "LeaseKeepAlive", …).
	MetricRequests = "grpc_server_started_total"
	// MetricMessagesReceived counts messages from clients by the same labels:
	// for "Watch" the watches created, cancelled and asked for their progress.
	// The end of a stream counts as one message more.
	MetricMessagesReceived = "grpc_server_msg_received_total"
	// MetricMessagesSent counts messages to clients by the same labels: for "Watch"
	// what happened to watches, and what happened in the store.
	MetricMessagesSent = "grpc_server_msg_sent_total"
	// MetricLeasesGranted counts the leases granted since the server started.
	MetricLeasesGranted = "etcd_debugging_lease_granted_total"
	// MetricLeasesRevoked counts the leases revoked or expired since then.
	MetricLeasesRevoked = "etcd_debugging_lease_revoked_total"
	// MetricLeasesRenewed counts the keep-alives answered since then; of a
	// cluster's members only the leader counts them.
	MetricLeasesRenewed = "etcd_debugging_lease_renewed_total"
	// MetricWatchStreams is how many watch streams are open.
	MetricWatchStreams = "etcd_debugging_mvcc_watch_stream_total"
	// MetricWatchers is how many watches exist, on all streams.
	MetricWatchers = "etcd_debugging_mvcc_watcher_total"
	// MetricCPUSeconds is what the process has used since it started.
	MetricCPUSeconds = "process_cpu_seconds_total"
)

// Metrics is what a server's /metrics said at one moment. Counters begin at 0
// each time that the server starts.
type Metrics struct {
	families map[string]*dto.MetricFamily
}

// Metrics reads the server's metrics. The server has to run.
func (s *Server) Metrics() Metrics {
	s.t.Helper()
	body, err := s.httpGet(context.Background(), "/metrics")
	if err != nil {
		s.t.Fatalf("read the metrics of %s: %v", s.name, err)
	}
	m := Metrics{families: make(map[string]*dto.MetricFamily)}
	decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.NewFormat(expfmt.TypeTextPlain))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			return m
		} else if err != nil {
			s.t.Fatalf("parse the metrics of %s: %v", s.name, err)
		}
		m.families[family.GetName()] = &family
	}
}

// Value returns the sum of all series of the name that have at least these
// labels, and 0 where there are none. A histogram counts with its number of
// observations.
func (m Metrics) Value(name string, labels map[string]string) float64 {
	var sum float64
	for _, series := range m.families[name].GetMetric() {
		if hasLabels(series, labels) {
			sum += value(series)
		}
	}
	return sum
}

// Requests returns how many RPCs of the method, such as "Txn", were begun.
func (m Metrics) Requests(method string) int {
	return int(m.Value(MetricRequests, map[string]string{"grpc_method": method}))
}

// Quantile returns what a share of a histogram's observations since an earlier
// moment does not exceed, in its unit and as exactly as its buckets are; 0 if there
// have been none.
func (m Metrics) Quantile(name string, share float64, since Metrics) float64 {
	now, before := m.buckets(name), since.buckets(name)
	total := now[math.Inf(1)] - before[math.Inf(1)]
	if total <= 0 {
		return 0
	}
	for _, bound := range slices.Sorted(maps.Keys(now)) {
		if now[bound]-before[bound] >= share*total {
			return bound
		}
	}
	return math.Inf(1)
}

// buckets returns how many observations of a histogram are at most so large, in
// all series of the name.
func (m Metrics) buckets(name string) map[float64]float64 {
	all := map[float64]float64{}
	for _, series := range m.families[name].GetMetric() {
		histogram := series.GetHistogram()
		for _, bucket := range histogram.GetBucket() {
			if bound := bucket.GetUpperBound(); !math.IsInf(bound, 1) {
				all[bound] += float64(bucket.GetCumulativeCount())
			}
		}
		all[math.Inf(1)] += float64(histogram.GetSampleCount())
	}
	return all
}

func hasLabels(series *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, pair := range series.GetLabel() {
		if want, ok := labels[pair.GetName()]; ok && want == pair.GetValue() {
			found++
		}
	}
	return found == len(labels)
}

// value reads whichever kind of metric it is; the getters of the others are 0.
func value(series *dto.Metric) float64 {
	return series.GetCounter().GetValue() +
		series.GetGauge().GetValue() +
		series.GetUntyped().GetValue() +
		float64(series.GetHistogram().GetSampleCount()) +
		float64(series.GetSummary().GetSampleCount())
}
