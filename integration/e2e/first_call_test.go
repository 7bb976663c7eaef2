// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// many is how many services the processes of the benchmarks provide or refer to.
const many = 20

// benchmarked runs a benchmark with each metadata-type, with this registry and
// with dubbo-go's own.
func benchmarked(b *testing.B, run func(b *testing.B, with func(spec) spec)) {
	for _, registry := range []string{"Ours", "BuiltIn"} {
		for _, metadata := range []string{"LocalMetadata", "RemoteMetadata"} {
			b.Run(registry+"/"+metadata, func(b *testing.B) {
				run(b, func(s spec) spec {
					s.RemoteMetadata = metadataTypes[metadata]
					s.BuiltIn = registry == "BuiltIn"
					return application(s)
				})
			})
		}
	}
}

// requests counts what etcd is asked.
type requests struct {
	etcd  *etcdtest.Server
	begin etcdtest.Metrics
	sum   map[string]float64
}

func (r *requests) start() { r.begin = r.etcd.Metrics() }

func (r *requests) stop() {
	now := r.etcd.Metrics()
	for _, method := range []string{"Range", "Txn", "Put", "LeaseGrant"} {
		r.sum[method] += float64(now.Requests(method) - r.begin.Requests(method))
	}
	watch := map[string]string{"grpc_method": "Watch"}
	r.sum["Watch"] += now.Value(etcdtest.MetricMessagesReceived, watch) - r.begin.Value(etcdtest.MetricMessagesReceived, watch)
}

func (r *requests) report(b *testing.B) {
	for method, n := range r.sum {
		b.ReportMetric(n/float64(b.N), method+"/op")
	}
}

// BenchmarkFirstCall is the time from the start of a consumer's process until a
// call of each of its references has been answered, and what it asked etcd for.
func BenchmarkFirstCall(b *testing.B) {
	benchmarked(b, func(b *testing.B, with func(spec) spec) {
		etcd := etcdtest.Start(b)
		services := numbered(many)
		a := start(b, with(provider(b, etcd, "a", long, services...)))
		awaitInstance(b, etcd, a)
		calling := with(consumer(etcd, long, services...))
		calling.Pause = 4 * defaultPause
		asked := requests{etcd: etcd, sum: map[string]float64{}}
		var whole, inside times
		for b.Loop() {
			asked.start()
			c := start(b, calling)
			var last time.Time
			eventually(b, func() string { return "not all references are answered" }, func() bool {
				time.Sleep(50 * time.Millisecond) // it is busy enough
				last = time.Time{}
				r := c.report()
				for _, s := range services {
					first := r.Tallies[s.reference()].First
					if first.IsZero() {
						return false
					}
					if first.After(last) {
						last = first
					}
				}
				whole.add(last.Sub(c.started))
				inside.add(last.Sub(r.Began))
				return true
			})
			asked.stop()
			c.kill()
		}
		whole.report(b, "start")
		inside.report(b, "main")
		asked.report(b)
	})
}

// BenchmarkRegistration is the time from the start of a provider's process until
// its instance is in etcd, and what it asked etcd for. Nothing is there before.
func BenchmarkRegistration(b *testing.B) {
	benchmarked(b, func(b *testing.B, with func(spec) spec) {
		etcd := etcdtest.Start(b)
		providing := with(provider(b, etcd, "a", long, numbered(many)...))
		events := etcd.Client().Watch(b.Context(), "/services/a/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		await := func(kind mvccpb.Event_EventType) {
			for response := range events {
				for _, e := range response.Events {
					if e.Type == kind {
						return
					}
				}
			}
		}
		asked := requests{etcd: etcd, sum: map[string]float64{}}
		var whole, inside times
		for b.Loop() {
			asked.start()
			a := start(b, providing)
			await(clientv3.EventTypePut)
			now := time.Now()
			whole.add(now.Sub(a.started))
			inside.add(now.Sub(a.report().Began))
			time.Sleep(time.Second) // what it does afterwards counts, too
			asked.stop()
			a.kill()
			for _, prefix := range []string{"/services/", "/dubbo/"} {
				_, err := etcd.Client().Delete(b.Context(), prefix, clientv3.WithPrefix())
				require.NoError(b, err)
			}
			await(clientv3.EventTypeDelete)
		}
		whole.report(b, "start")
		inside.report(b, "main")
		asked.report(b)
	})
}

// times are the durations of the iterations. On a machine that is busy with
// something else the least says more than the mean.
type times []time.Duration

func (t *times) add(d time.Duration) { *t = append(*t, d) }

func (t times) report(b *testing.B, since string) {
	slices.Sort(t)
	b.ReportMetric(t[0].Seconds()*1000, "ms-since-"+since+"-least")
	b.ReportMetric(t[len(t)/2].Seconds()*1000, "ms-since-"+since+"-median")
}
