// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"os"
	"path/filepath"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestAListenerThatDoesNotReturnIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	s := seen{t, etcd.Endpoint()}
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	called, returns := make(chan struct{}, 9), make(chan struct{})
	l := &testkit.Listener{OnNotify: func(*registry.ServiceEvent) {
		called <- struct{}{}
		<-returns
	}}
	testkit.Subscribe(t, r, testkit.Consumer(service), l)
	require.Zero(t, s.metric(watchLag), "what was there is no change")
	require.NoError(t, r.Register(provider(0)))
	<-called
	c := s.status()
	require.NotEmpty(t, c.Listeners)
	stuck := c.Listeners[0]
	assert.Contains(t, stuck.Name, "/dubbo/"+service+"/providers/")
	assert.Equal(t, etcdv3registry.WaitsForCall, stuck.WaitsFor)
	assert.NotZero(t, stuck.CallSince)
	s.awaitMetric(listenerBusy, atLeast(1))

	testkit.Put(t, etcd.Client(), "/dubbo/"+service+"/providers/tri%3A%2F%2F10.0.0.9%3A1%2F"+service, "")
	s.await("a change waits for it", func(c etcdv3registry.ClusterStatus) bool { return c.Listeners[0].Pending == 1 })

	close(returns)
	s.await("it waits for a change again", func(c etcdv3registry.ClusterStatus) bool {
		return c.Listeners[0].WaitsFor == etcdv3registry.WaitsForChange && c.Listeners[0].Pending == 0
	})
	s.awaitMetric(listenerBusy, is(0))
	s.awaitMetric(watchLag, is(2))
	var sum float64
	for _, m := range family(t, watchLag).GetMetric() {
		if hasLabels(m, []string{"cluster", etcd.Endpoint()}) {
			sum += m.GetHistogram().GetSampleSum()
		}
	}
	assert.Greater(t, sum, 1.0, "the listener took longer than the metric said that it did")
}

func TestAKeyThatCannotBeReadIsSeen(t *testing.T) { // not in parallel: it is counted for the process
	etcd := etcdtest.Start(t)
	begin(t, etcd)
	before, metricBefore := etcdv3registry.Status().SkippedKeys, metric(t, skippedKeys)
	testkit.Put(t, etcd.Client(), "/dubbo/"+service+"/providers/%zz", "")
	require.True(t, testkit.Eventually(func() bool { return etcdv3registry.Status().SkippedKeys > before }))
	awaitProcess(t, skippedKeys, metricBefore)
}

func TestTheCacheFileIsSeen(t *testing.T) { // not in parallel: likewise
	etcd := etcdtest.Start(t)
	savesBefore, bytesBefore, failuresBefore := metric(t, cacheSaves), metric(t, cacheBytes), metric(t, cacheFailures)
	path := filepath.Join(t.TempDir(), "registry.cache")
	s := begin(t, etcd, "file-cache", "true", "file", path)
	file := func() (f etcdv3registry.CacheFileStatus) {
		for _, f := range etcdv3registry.Status().CacheFiles {
			if f.Path == path {
				return f
			}
		}
		return f
	}
	require.True(t, testkit.Eventually(func() bool { return file().Saves > 0 }), "%+v", file())
	info, err := os.Stat(path)
	require.NoError(t, err)
	f := file()
	assert.Equal(t, info.Size(), f.Bytes)
	assert.GreaterOrEqual(t, f.WrittenBytes, uint64(f.Bytes))
	assert.NotZero(t, f.Saved)
	assert.Less(t, f.AgeSeconds, 60.0)
	assert.Empty(t, f.Error)
	awaitProcess(t, cacheSaves, savesBefore)
	awaitProcess(t, cacheBytes, bytesBefore)

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, s.registry.UnRegister(provider(0)))
	require.True(t, testkit.Eventually(func() bool { return file().Error != "" }), "%+v", file())
	assert.NotZero(t, file().Failures)
	awaitProcess(t, cacheFailures, failuresBefore)
	require.NoError(t, os.Remove(path))
	require.True(t, testkit.Eventually(func() bool { return file().Error == "" }), "%+v", file())
}

// awaitProcess waits until a counter of the process is more than it was.
func awaitProcess(t *testing.T, name string, before float64) {
	t.Helper()
	testkit.Await(t, testkit.LongPatience, func() bool { return metric(t, name) > before }, "%s is still %v", name, before)
}
