// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// counting is a listener that keeps nothing but the number of what it was told
// of: what is measured is not the framework's.
type counting struct{ known atomic.Int64 }

func (l *counting) Notify(*registry.ServiceEvent) { l.known.Add(1) }

func (l *counting) NotifyAll(events []*registry.ServiceEvent, done func()) {
	l.known.Store(int64(len(events)))
	done()
}

// BenchmarkMemory measures what a consumer of 100,000 providers of 1,000 services
// has in memory for each of them, without a cache file and what the framework's
// directories have, and how much of it is the key. With HEAP_PROFILE it writes there where it is.
func BenchmarkMemory(b *testing.B) {
	quiet(b)
	const services, each = 1000, 100
	etcd := etcdtest.Start(b)
	length := fillServices(b, etcd, services, each)
	for b.Loop() {
		before := heap()
		r := testkit.NewRegistry(b, etcd.Endpoint(), "registry.timeout", "60s", "file-cache", "false")
		listeners := make([]*counting, services)
		var group errgroup.Group
		group.SetLimit(16)
		for i := range listeners {
			listeners[i] = &counting{}
			group.Go(func() error { // what the framework does
				u := testkit.Consumer(serviceOf(i))
				if err := r.LoadSubscribeInstances(u, listeners[i]); err != nil {
					return err
				}
				return r.Subscribe(u, listeners[i])
			})
		}
		require.NoError(b, group.Wait())
		testkit.Await(b, testkit.Patience, func() bool { return etcd.Metrics().Value(etcdtest.MetricWatchers, nil) >= services })
		after := heap()
		for _, l := range listeners {
			require.EqualValues(b, each, l.known.Load())
		}
		b.ReportMetric(float64(after-before)/(services*each), "B/provider")
		b.ReportMetric(float64(length), "B-of-key")
		if path := os.Getenv("HEAP_PROFILE"); path != "" {
			writeHeap(b, path)
		}
		runtime.KeepAlive(listeners)
		r.Destroy()
	}
}

func serviceOf(i int) string { return fmt.Sprintf("com.example.shop.Service%04d", i) }

// fillServices puts providers of some services, and returns how long a key is.
func fillServices(b *testing.B, etcd *etcdtest.Server, services, each int) (length int) {
	for i := range services {
		var puts []clientv3.Op
		for j := range each {
			key := strings.ReplaceAll(providerKey(j, "tri"), "org.a.Greeter", serviceOf(i))
			length = len(key)
			puts = append(puts, clientv3.OpPut(key, ""))
		}
		_, err := etcd.Client().Txn(context.Background()).Then(puts...).Commit()
		require.NoError(b, err)
	}
	return length
}

// heap is what is in use, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func writeHeap(b *testing.B, path string) {
	file, err := os.Create(path)
	require.NoError(b, err)
	require.NoError(b, pprof.WriteHeapProfile(file))
	require.NoError(b, file.Close())
}
