// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/metricstest"
)

func TestNothingIsToldWhileMetricsAreOff(t *testing.T) {
	s := NewSet("cluster", "a:1")
	assert.False(t, On())
	s.Gauge(Connected, 1)
	s.Count(Resyncs, 3, "reason", "limits")
	s.Lag(time.Second)
	before := Skipped()
	Skip()
	assert.Equal(t, before+1, Skipped(), "it is counted all the same")

	r := metricstest.Use(t, Use)
	assert.True(t, On())
	assert.Empty(t, r.Values())
}

func TestCountersAreToldWhatHasBeenAddedSince(t *testing.T) {
	r := metricstest.Use(t, Use)
	s := NewSet("cluster", "a:1")
	s.Count(Resyncs, 0, "reason", "limits")
	assert.Equal(t, map[string]float64{`dubbo_registry_etcd_resyncs_total{cluster="a:1",reason="limits"}`: 0}, r.Values(), "so that the first increase is one")
	s.Count(Resyncs, 3, "reason", "limits")
	s.Count(Resyncs, 3, "reason", "limits")
	s.Count(Resyncs, 1, "reason", "compacted")
	s.Count(Resyncs, 5, "reason", "limits")
	s.Count(Resyncs, 2, "reason", "limits") // nothing is ever taken back
	assert.Equal(t, map[string]float64{
		`dubbo_registry_etcd_resyncs_total{cluster="a:1",reason="limits"}`:    5,
		`dubbo_registry_etcd_resyncs_total{cluster="a:1",reason="compacted"}`: 1,
	}, r.Values())

	again := metricstest.Use(t, Use)
	s.Count(Resyncs, 6, "reason", "limits")
	assert.Equal(t, map[string]float64{`dubbo_registry_etcd_resyncs_total{cluster="a:1",reason="limits"}`: 6}, again.Values(), "all of it, as nobody has told that one")
}

func TestStatesAndObservations(t *testing.T) {
	r := metricstest.Use(t, Use)
	s := NewSet("cluster", "a:1", "user", "shop")
	s.Flag(Ready, true)
	s.Flag(Connected, true)
	s.Flag(Connected, false)
	s.Gauge(KeysWanted, 7)
	s.Lag(20 * time.Millisecond)
	s.Lag(30 * time.Millisecond)
	Skip()
	const labels = `{cluster="a:1",user="shop"}`
	assert.Equal(t, map[string]float64{
		"dubbo_registry_etcd_ready" + labels:             1,
		"dubbo_registry_etcd_connected" + labels:         0,
		"dubbo_registry_etcd_keys_wanted" + labels:       7,
		"dubbo_registry_etcd_watch_lag_seconds" + labels: 2,
		"dubbo_registry_etcd_skipped_keys_total{}":       1,
	}, r.Values())
}

func TestWhoWaitsForMetricsIsToldWhenTheyAreSwitchedOn(t *testing.T) {
	told := 0
	Switched(func() { told++ })
	assert.Zero(t, told)
	metricstest.Use(t, Use)
	assert.Equal(t, 1, told)
}

func TestEachMetricIsThereOnceAndIsNamedAsPrometheusHasIt(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range All() {
		assert.False(t, seen[m.Name], m.Name)
		seen[m.Name] = true
		assert.Regexp(t, "^dubbo_registry_etcd_[a-z_]+$", m.Name)
		assert.Equal(t, m.Kind == "counter", len(m.Name) > 6 && m.Name[len(m.Name)-6:] == "_total", m.Name)
		assert.NotEmpty(t, m.Help)
	}
}
