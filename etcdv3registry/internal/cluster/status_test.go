// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/metricstest"
)

func TestRequestsAreCountedByMethodAndCode(t *testing.T) {
	o := observer{}
	for _, err := range []error{nil, nil, status.Error(codes.Unavailable, "away"), status.Error(codes.Canceled, "given up")} {
		_ = o.unary(t.Context(), "/etcdserverpb.KV/Range", nil, &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{}}, nil, after(0, err))
	}
	require.Error(t, o.open(t, answers{err: errors.New("connection reset")}, nil).RecvMsg(&etcdserverpb.WatchResponse{}))
	calls, last, _ := o.traffic.now()
	assert.Equal(t, []Calls{
		{"Range", codes.OK, 2}, {"Range", codes.Canceled, 1}, {"Range", codes.Unavailable, 1}, {"Watch", codes.Unknown, 1},
	}, calls)
	assert.Equal(t, "Watch", last.Method)
	require.ErrorContains(t, last.Err, "connection reset")
	since, why := o.traffic.unfollowed()
	assert.NotZero(t, since)
	require.Error(t, why)
	o.watching = func() {}
	require.NoError(t, o.open(t, answers{}, nil).RecvMsg(&etcdserverpb.WatchResponse{}))
	since, _ = o.traffic.unfollowed()
	assert.Zero(t, since, "there is another stream")
}

func TestSilenceIsWhatLastsLongerThanAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer{}
		r := o.send()
		began := time.Now()
		time.Sleep(soon)
		assert.Zero(t, o.silentSince())
		time.Sleep(time.Millisecond)
		assert.True(t, o.silentSince().Equal(began))
		o.end(t.Context(), r, nil)
		assert.Zero(t, o.silentSince())
	})
}

func TestTheLinkKnowsSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l link
		l.note(connectivity.Connecting)
		there, since := l.now()
		assert.False(t, there)
		assert.Zero(t, since, "there never was one")
		for _, state := range []connectivity.State{connectivity.Ready, connectivity.Idle, connectivity.Connecting, connectivity.TransientFailure} {
			time.Sleep(time.Second)
			l.note(state)
		}
		there, since = l.now()
		assert.False(t, there)
		assert.True(t, since.Equal(time.Now().Add(-2*time.Second)), "of the first that was not")
	})
}

func TestReasonsNotToBeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := Acquire(of(t, e, 0, "a:1"))
		assert.Empty(t, c.Status().Reasons())
		e.Away(true)
		c.Desired.Put(desired.Key{Name: "/dubbo/key"})
		f := c.Watches.Open("/dubbo/a/")
		var reasons []string
		require.Eventually(t, func() bool {
			reasons = c.Status().Reasons()
			return len(reasons) == 2 && strings.Contains(reasons[0], "connection refused")
		}, 3*time.Second, time.Millisecond)
		assert.Contains(t, reasons[0], "etcd at a:1: 1 of 1 key(s) are not registered: /dubbo/key: ")
		assert.Contains(t, reasons[1], "1 of 1 prefix(es) have not been read yet: /dubbo/a/: ")
		e.Away(false)
		require.Eventually(t, func() bool { return len(c.Status().Reasons()) == 0 }, time.Minute, time.Millisecond)
		Shutdown(t.Context())
		reasons = c.Status().Reasons()
		require.Len(t, reasons, 1)
		assert.Contains(t, reasons[0], "shutting down")
		f.Close()
		require.NoError(t, c.Release(t.Context()))
		assert.Empty(t, Statuses())
	})
}

// Whether metrics are switched on before a cluster is used or after it.
func TestAClusterReportsFromWhenMetricsAreSwitchedOnUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		first := Acquire(of(t, e, 0, "b:1", "a:1"))
		put(t, first, "/dubbo/key")
		r := metricstest.Use(t, measure.Use)
		second := Acquire(of(t, e, 0, "c:1"))
		const a, c = `{cluster="a:1,b:1",user=""}`, `{cluster="c:1",user=""}`
		synctest.Wait()
		assert.InDelta(t, 1, r.Values()["dubbo_registry_etcd_keys_in_etcd"+a], 0)
		assert.InDelta(t, 0, r.Values()["dubbo_registry_etcd_keys_in_etcd"+c], 0)
		assert.Contains(t, r.Values(), `dubbo_registry_etcd_resyncs_total{cluster="c:1",reason="lease_lost",user=""}`)
		put(t, second, "/dubbo/other")
		told := func(name string, value float64) {
			t.Helper()
			require.Eventually(t, func() bool { return r.Values()[name] == value }, time.Minute, 10*time.Millisecond, name)
		}
		told("dubbo_registry_etcd_keys_in_etcd"+c, 1)
		assert.InDelta(t, 30, r.Values()["dubbo_registry_etcd_lease_ttl_seconds"+c], 0)
		e.Expire()
		told(`dubbo_registry_etcd_resyncs_total{cluster="c:1",reason="lease_lost",user=""}`, 1)

		require.NoError(t, second.Release(t.Context()))
		assert.InDelta(t, 0, r.Values()["dubbo_registry_etcd_keys_wanted"+c], 0, "it is not used any more")
		assert.InDelta(t, 0, r.Values()["dubbo_registry_etcd_lease_ttl_seconds"+c], 0)
		again := Acquire(of(t, e, 0, "c:1"))
		put(t, again, "/dubbo/other")
		told("dubbo_registry_etcd_keys_wanted"+c, 1)
		require.NoError(t, again.Release(t.Context()))
		require.NoError(t, first.Release(t.Context()))
	})
}

// The lease of one was given up, as the process is about to end; it lives on.
func TestOfTwoUsesOfTheSameEtcdTheLaterOneIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		r := metricstest.Use(t, measure.Use)
		old := Acquire(of(t, e, 0, "a:1"))
		put(t, old, "/dubbo/key")
		Shutdown(t.Context())
		later := Acquire(of(t, e, 0, "a:1"))
		put(t, later, "/dubbo/key")
		put(t, later, "/dubbo/more")
		time.Sleep(time.Minute)
		require.NoError(t, old.Release(t.Context()))
		assert.InDelta(t, 2, r.Values()[`dubbo_registry_etcd_keys_wanted{cluster="a:1",user=""}`], 0)
		require.NoError(t, later.Release(t.Context()))
	})
}
