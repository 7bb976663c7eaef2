// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// seen is what an operator sees of the use of one etcd.
type seen struct {
	t    testing.TB
	etcd string // its address
}

// status is that of the cluster, as it is now.
func (s seen) status() etcdv3registry.ClusterStatus {
	s.t.Helper()
	for _, c := range etcdv3registry.Status().Clusters {
		if c.Endpoints[0] == s.etcd {
			return c
		}
	}
	require.Fail(s.t, "the cluster is not in use", s.etcd)
	return etcdv3registry.ClusterStatus{}
}

// await waits for a status.
func (s seen) await(what string, is func(etcdv3registry.ClusterStatus) bool) (last etcdv3registry.ClusterStatus) {
	s.t.Helper()
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		last = s.status()
		return is(last)
	})
	if !ok {
		shown, _ := json.MarshalIndent(last, "", " ")
		require.Fail(s.t, "the status is not: "+what, "%s", shown)
	}
	return last
}

func isReady(c etcdv3registry.ClusterStatus) bool { return c.Ready }

// awaitReasons waits until the process is not ready for a reason that has the text.
func (s seen) awaitReasons(text string) etcdv3registry.ClusterStatus {
	s.t.Helper()
	return s.await("not ready: "+text, func(c etcdv3registry.ClusterStatus) bool {
		return !c.Ready && strings.Contains(strings.Join(c.Reasons, "\n"), text)
	})
}

// metric returns the sum of the series of this cluster that have labels, pairs of a
// name and a value. A histogram counts with its number of observations.
func (s seen) metric(name string, labels ...string) float64 {
	s.t.Helper()
	return metric(s.t, name, append(labels, "cluster", s.etcd)...)
}

// awaitMetric waits until a metric of this cluster is as wanted.
func (s seen) awaitMetric(name string, is func(float64) bool, labels ...string) {
	s.t.Helper()
	var last float64
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		last = s.metric(name, labels...)
		return is(last)
	})
	require.True(s.t, ok, "%s %v is %v", name, labels, last)
}

func metric(t testing.TB, name string, labels ...string) (sum float64) {
	t.Helper()
	for _, m := range family(t, name).GetMetric() {
		if hasLabels(m, labels) {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func family(t testing.TB, name string) *dto.MetricFamily {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	return nil
}

func hasLabels(m *dto.Metric, labels []string) bool {
	has := map[string]string{}
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

func is(want float64) func(float64) bool      { return func(v float64) bool { return v == want } }
func atLeast(want float64) func(float64) bool { return func(v float64) bool { return v >= want } }
func below(limit float64) func(float64) bool  { return func(v float64) bool { return v < limit } }

// Metrics, without what all of them begin with.
const (
	ready          = prefix + "ready"
	connected      = prefix + "connected"
	leaseRemaining = prefix + "lease_remaining_seconds"
	leaseTTL       = prefix + "lease_ttl_seconds"
	keysWanted     = prefix + "keys_wanted"
	keysInEtcd     = prefix + "keys_in_etcd"
	keysRefused    = prefix + "keys_refused"
	retriesPending = prefix + "retries_pending"
	mirrors        = prefix + "mirrors"
	mirrorsUnread  = prefix + "mirrors_unread"
	mirrorsStale   = prefix + "mirrors_stale"
	mirrorKeys     = prefix + "mirror_keys"
	mirrorBytes    = prefix + "mirror_bytes"
	listeners      = prefix + "listeners"
	listenerBusy   = prefix + "listener_busy_seconds"
	watchLag       = prefix + "watch_lag_seconds"
	resyncs        = prefix + "resyncs_total"
	requests       = prefix + "requests_total"
	skippedKeys    = prefix + "skipped_keys_total"
	cacheSaves     = prefix + "cache_saves_total"
	cacheFailures  = prefix + "cache_save_failures_total"
	cacheBytes     = prefix + "cache_written_bytes_total"

	prefix = "dubbo_registry_etcd_"
)

const service = "org.a.Greeter"

// scene is a process that provides, and follows, a service.
type scene struct {
	seen
	*etcdtest.Server
	registry registry.Registry
	told     *testkit.Listener
}

// begin has a process provide and follow the service on an etcd that may not run.
func begin(t testing.TB, etcd *etcdtest.Server, params ...string) *scene {
	t.Helper()
	s := &scene{seen: seen{t, etcd.Endpoint()}, Server: etcd, told: &testkit.Listener{}}
	s.registry = testkit.NewRegistry(t, etcd.Endpoint(), append([]string{"session", "3s", "registry.timeout", "1s", "retry.interval", "100ms", "file-cache", "false"}, params...)...)
	for i := range 3 {
		require.NoError(t, s.registry.Register(provider(i)))
	}
	testkit.Subscribe(t, s.registry, testkit.Consumer(service), s.told)
	return s
}

func provider(i int) *common.URL {
	return testkit.Provider(service, fmt.Sprintf("10.0.0.%d:20000", i+1))
}
