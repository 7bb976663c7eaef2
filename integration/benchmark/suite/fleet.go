// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"runtime"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

const (
	perService    = 100                   // providers of each service of a fleet
	startLimit    = 2 * time.Minute       // for a consumer of a whole fleet
	changeEvery   = 50 * time.Millisecond // 20 a second
	quietInterval = 3 * time.Second       // until what is done later has been done
)

// benchmarkFleet measures a consumer of all services of a fleet of n providers:
// its start; what it does when nothing happens; and what when providers come and
// go, 20 times a second. It has the cache file that it has by default.
func benchmarkFleet(b *testing.B, c Contender, n int) {
	store := c.Start(b, false)
	services := max(1, n/perService)
	keys := fleet(n, services)
	store.Fill(b, keys)
	b.Setenv("HOME", b.TempDir())
	once(b, func() {
		l, heapBefore, goroutines := newShared(), heap(), runtime.NumGoroutine()
		known, before := l.expectCount(n), usedBy(b)
		r := open(b, c, store)
		for i := range services {
			if err := r.Subscribe(consumer(serviceName(i)), l); err != nil {
				b.Fatal(err)
			}
		}
		select {
		case at := <-known:
			after := usedBy(b)
			reportTime(b, at.Sub(before.at), "start")
			b.ReportMetric(float64(after.cpu-before.cpu)/float64(n), "start-cpu-ns/instance")
		case <-time.After(scale.For(startLimit, patience)):
			reportArrived(b, l.count(), n, scale.For(startLimit, patience))
			return
		}
		reportArrived(b, n, n, scale.For(startLimit, patience))
		time.Sleep(scale.For(quietInterval, time.Second))
		b.ReportMetric(float64(heap()-heapBefore)/float64(n), "B/instance")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(services), "goroutines/subscription")
		rest(b, store)
		churn(b, store, l, keys)
		runtime.KeepAlive(r)
	})
}

// rest looks at a process that has nothing to do.
func rest(b *testing.B, store Store) {
	requests, before := store.Requests(b), usedBy(b)
	time.Sleep(scale.For(12*time.Second, time.Second))
	after := usedBy(b)
	b.ReportMetric(after.share(before), "rest-cpu-%")
	b.ReportMetric(float64(store.Requests(b)-requests)/after.at.Sub(before.at).Minutes(), "rest-requests/min")
}

// churn has providers go and come back, one at a time. The client that does that
// is in this process, and in its CPU time.
func churn(b *testing.B, store Store, l *listener, keys []string) {
	before, end := usedBy(b), time.Now().Add(scale.For(10*time.Second, time.Second))
	ticks := time.NewTicker(changeEvery)
	defer ticks.Stop()
	changes := 0
	for now := range ticks.C {
		key := keys[changes/2*7919%len(keys)] // of another service each time
		if changes%2 == 0 {
			store.Delete(b, key)
		} else {
			store.Put(b, key)
		}
		changes++
		if changes%2 == 0 && now.After(end) {
			break
		}
	}
	after := usedBy(b)
	b.ReportMetric(float64(changes)/after.at.Sub(before.at).Seconds(), "changes/s")
	b.ReportMetric(after.share(before), "churn-cpu-%")
	b.ReportMetric(float64(after.written-before.written)/after.at.Sub(before.at).Seconds(), "churn-written-B/s")

	// A last one shows whether the listener is told of changes at all.
	gone := parseKey(b, keys[0])
	told := l.expectHost(gone, false)
	store.Delete(b, keys[0])
	select {
	case <-told:
		b.ReportMetric(1, "told-at-last")
	case <-time.After(patience):
		b.ReportMetric(0, "told-at-last")
	}
}
