// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// BenchmarkFootprint measures what 1,000 services are to etcd: each with one
// provider and one consumer that is registered and subscribed, as the framework
// does it, with URLs of 400 bytes.
func BenchmarkFootprint(b *testing.B) {
	const services = 1000
	for b.Loop() {
		b.StopTimer()
		etcd := etcdtest.Start(b)
		before := etcd.Metrics()
		r := testkit.NewRegistry(b, etcd.Endpoint())
		more := []string{"application", "organisation-of-the-shop", "application.version", "1.0.0", "environment", "production",
			"owner", "somebody", "release", "dubbo-golang-3.3.2", "serialization", "protobuf", "loadbalance", "random", "cluster", "failover",
			"retries", "2", "weight", "100", "warmup", "100", "token", "", "pid", "12345", "ip", "10.0.0.1", "export", "true"}
		b.StartTimer()
		var group errgroup.Group
		group.SetLimit(64)
		for i := range services {
			service := fmt.Sprintf("com.example.shop.Service%04d", i)
			group.Go(func() error { return r.Register(testkit.Provider(service, "10.0.0.1:20000", more...)) })
			group.Go(func() error {
				l := &testkit.Listener{}
				if err := r.LoadSubscribeInstances(testkit.Consumer(service, more...), l); err != nil {
					return err
				}
				if err := r.Subscribe(testkit.Consumer(service, more...), l); err != nil {
					return err
				}
				return r.Register(testkit.Consumer(service, more...))
			})
		}
		require.NoError(b, group.Wait())
		b.StopTimer()
		testkit.Await(b, testkit.Patience, func() bool { return etcd.Metrics().Value(etcdtest.MetricWatchers, nil) >= services })
		after := etcd.Metrics()
		report := func(name, metric string, unit float64) {
			b.ReportMetric((after.Value(metric, nil)-before.Value(metric, nil))/unit, name)
		}
		report("KiB-in-db", "etcd_mvcc_db_total_size_in_use_in_bytes", 1<<10)
		report("MiB-of-memory", "process_resident_memory_bytes", 1<<20)
		report("watches", etcdtest.MetricWatchers, 1)
		b.ReportMetric(float64(after.Requests("LeaseGrant")), "leases")
		r.Destroy()
		b.StartTimer()
	}
}

// What waits for something to happen takes next to no goroutines: of each watch
// there is the one of etcd's client.
func TestASubscriptionTakesNoGoroutineWhileNothingHappens(t *testing.T) {
	const (
		subscriptions = 1000
		patience      = 3 * time.Minute // 2,000 prefixes are listed at once
	)
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "60s", "file-cache", "false")
	require.NoError(t, r.Subscribe(testkit.Consumer("org.a.First"), &testkit.Listener{})) // with the connection
	require.NoError(t, r.Register(testkit.Provider("org.a.First", "10.0.0.1:20000")))     // with the lease, and the watches of keys
	testkit.RequireWatchers(t, etcd, 1+2)
	more := func(subscribe func(i int) *common.URL) (listeners []*testkit.Listener, goroutines func() int, end func()) {
		before := runtime.NumGoroutine()
		for i := range subscriptions {
			listeners = append(listeners, &testkit.Listener{})
			require.NoError(t, r.Subscribe(subscribe(i), listeners[i]))
		}
		return listeners, func() int { return runtime.NumGoroutine() - before }, func() {
			for i, l := range listeners {
				require.NoError(t, r.UnSubscribe(subscribe(i), l))
			}
		}
	}
	settles := func(goroutines func() int, most int) {
		t.Helper()
		testkit.Await(t, patience, func() bool { return goroutines() <= most })
	}
	heard := func(l *testkit.Listener, addresses ...string) {
		t.Helper()
		testkit.Await(t, patience, func() bool { return slices.Equal(l.Addresses(), addresses) })
	}
	put := func(service, address string) {
		require.NoError(t, r.Register(testkit.Provider(service, address)))
	}
	service := func(i int) string { return fmt.Sprintf("org.a.Service%04d", i) }

	listeners, goroutines, end := more(func(i int) *common.URL {
		return testkit.Consumer(service(i), "category", "providers,configurators") // as a reference's
	})
	watches := 2 * subscriptions
	testkit.Await(t, patience, func() bool { return etcd.Metrics().Value(etcdtest.MetricWatchers, nil) >= float64(watches) })
	settles(goroutines, watches+watches/20)
	for i := 0; i < subscriptions; i += 100 {
		put(service(i), "10.0.0.1:20000")
		heard(listeners[i], "10.0.0.1:20000")
	}
	settles(goroutines, watches+watches/20)
	put(service(0), "10.0.0.2:20000")
	heard(listeners[0], "10.0.0.1:20000", "10.0.0.2:20000")
	end()
	settles(goroutines, 20)

	listeners, goroutines, end = more(func(int) *common.URL { return testkit.Consumer("org.a.Only") })
	settles(goroutines, 20)
	put("org.a.Only", "10.0.0.1:20000")
	for _, l := range listeners {
		heard(l, "10.0.0.1:20000")
	}
	settles(goroutines, 20)
	end()
}
