// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestMetricsCountRequestsByMethod(t *testing.T) {
	t.Parallel()
	s := Start(t)
	client := s.Client()
	before := s.Metrics()
	require.Zero(t, before.Requests("Put"))

	put(t, client, "key", "value")
	put(t, client, "key", "value")
	get(t, client, "key")
	_, err := client.Txn(deadline(t, patience)).Then(clientv3.OpPut("a", ""), clientv3.OpPut("b", "")).Commit()
	require.NoError(t, err)

	after := s.Metrics()
	require.Equal(t, 2, after.Requests("Put"))
	require.Equal(t, 1, after.Requests("Range"))
	require.Equal(t, 1, after.Requests("Txn"))
	require.EqualValues(t, 4, after.Value(MetricRequests, map[string]string{"grpc_service": "etcdserverpb.KV"}))
	require.Zero(t, after.Value(MetricRequests, map[string]string{"grpc_service": "etcdserverpb.KV", "grpc_method": "Watch"}))
	require.Zero(t, after.Value("no_such_metric", nil))
}

func TestMetricsCountLeases(t *testing.T) {
	t.Parallel()
	s := Start(t)
	client := s.Client()
	ctx := deadline(t, patience)
	for range 3 {
		lease, err := client.Grant(ctx, 60)
		require.NoError(t, err)
		_, err = client.KeepAliveOnce(ctx, lease.ID)
		require.NoError(t, err)
		_, err = client.Revoke(ctx, lease.ID)
		require.NoError(t, err)
	}

	m := s.Metrics()

	require.EqualValues(t, 3, m.Value(MetricLeasesGranted, nil))
	require.EqualValues(t, 3, m.Value(MetricLeasesRevoked, nil))
	require.Equal(t, 3, m.Requests("LeaseGrant"))
	require.EqualValues(t, 3, m.Value(MetricLeasesRenewed, nil))
	require.Eventually(t, func() bool {
		received := s.Metrics().Value(MetricMessagesReceived, map[string]string{"grpc_method": "LeaseKeepAlive"})
		return received == 6 // each KeepAliveOnce is a stream with one message and an end
	}, patience, poll)
}

func TestMetricsCountWatchesAndTheirStreams(t *testing.T) {
	t.Parallel()
	s := Start(t)
	requireWatches := func(streams, watchers float64) {
		t.Helper()
		require.Eventually(t, func() bool {
			m := s.Metrics()
			return m.Value(MetricWatchStreams, nil) == streams && m.Value(MetricWatchers, nil) == watchers
		}, patience, poll)
	}

	one, other := s.NewClient(nil), s.NewClient(nil)
	one.Watch(t.Context(), "a")
	one.Watch(t.Context(), "b")
	requireWatches(1, 2)
	other.Watch(t.Context(), "a")
	requireWatches(2, 3)

	require.Equal(t, 2, s.Metrics().Requests("Watch"))
	require.NoError(t, one.Close())
	requireWatches(1, 1)
}

func TestQuantileOfAHistogram(t *testing.T) {
	t.Parallel()
	s := Start(t, WithFlags("--unsafe-no-fsync=false"))
	before := s.Metrics()
	const histogram = "etcd_disk_wal_fsync_duration_seconds"
	require.Zero(t, before.Quantile(histogram, 0.5, before))
	for range 20 {
		put(t, s.Client(), "key", "value")
	}
	after := s.Metrics()
	half, all := after.Quantile(histogram, 0.5, before), after.Quantile(histogram, 1, before)
	require.Positive(t, half)
	require.GreaterOrEqual(t, all, half)
	require.Zero(t, after.Quantile("no_such_metric", 0.5, before))
}
