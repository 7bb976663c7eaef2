// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

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
