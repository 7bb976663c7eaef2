// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	members     = 1000
	services    = 50
	herdSession = 10 * time.Second
	outage      = 12 * time.Second // leases do not live that long
	settled     = 3 * time.Second  // without a request, nothing more is to come
)

// BenchmarkHerd has 1,000 processes lose one etcd in the same moment, and come
// back. Each has a connection, a lease and a watch of its own, registers a
// provider, and is a consumer of one of 50 services. All of them, and etcd, are
// on one machine.
//
// s/exact is the time from the moment when etcd can be reached until all keys
// are there under living leases and each consumer knows all providers of its
// service, of which one has been added in that moment. What etcd has to do until
// then, and until there is peace, is counted by method; keep-alives are left
// out, but for the CPU time.
func BenchmarkHerd(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("the clients need many loopback addresses")
	}
	logger.SetLoggerLevel("fatal")
	for _, trouble := range []struct {
		name   string
		strike func(*herd)
	}{
		{"killed", (*herd).kill},
		{"cut-off", (*herd).cut},
		{"reset", (*herd).reset},
		{"emptied", (*herd).wipe},
	} {
		b.Run(trouble.name, func(b *testing.B) { benchmarkHerd(b, trouble.strike, false) })
		if trouble.name != "emptied" { // which forgets all anyhow
			b.Run(trouble.name+"-compacted", func(b *testing.B) { benchmarkHerd(b, trouble.strike, true) })
		}
	}
}

var methods = []string{"Txn", "Range", "LeaseGrant", "LeaseTimeToLive", "Watch"}

func benchmarkHerd(b *testing.B, strike func(*herd), compact bool) {
	for b.Loop() {
		h := newHerd(b)
		if compact {
			h.compact()
		}
		strike(h)
		begin := time.Now()
		load := h.measure()
		h.addProviders()
		h.awaitExact()
		exact := time.Since(begin)
		after, ok := <-load
		if !ok {
			return
		}

		b.ReportMetric(exact.Seconds(), "s/exact")
		b.ReportMetric(after.at.Sub(begin).Seconds(), "s/peace")
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(after.peak, "peak-requests/s")
		for _, method := range methods {
			b.ReportMetric(float64(after.Requests(method)-h.before.Requests(method)-h.own[method]), method)
		}
		b.ReportMetric(after.Value(etcdtest.MetricCPUSeconds, nil)-h.before.Value(etcdtest.MetricCPUSeconds, nil), "etcd-CPU-s")
		h.requireExactStill()
		h.leave()
	}
}

type herd struct {
	b         *testing.B
	etcd      *etcdtest.Server
	client    *clientv3.Client
	proxy     *etcdtest.Proxy
	before    etcdtest.Metrics // when etcd could be reached again
	own       map[string]int   // requests of the benchmark since then
	members   []registry.Registry
	consumers []*herdConsumer
	added     bool
}

func newHerd(b *testing.B) *herd {
	b.Helper()
	etcd := etcdtest.Start(b, etcdtest.WithEveryAddress())
	h := &herd{b: b, etcd: etcd, client: etcd.NewClient(testkit.Quickly), proxy: etcdtest.NewProxyForMany(b, etcd.Endpoint()), own: map[string]int{}}
	h.members = make([]registry.Registry, members)
	h.consumers = make([]*herdConsumer, members)
	var starting errgroup.Group
	starting.SetLimit(50)
	for i := range members {
		h.members[i] = newRegistry(b, etcdtest.Loopback(h.proxy.Addr(), i), herdSession)
		h.consumers[i] = &herdConsumer{known: map[string]bool{}}
		starting.Go(func() error {
			if err := h.members[i].Register(provider(service(i), testkit.Address(i))); err != nil {
				return err
			}
			u := consumer(service(i))
			if err := h.members[i].LoadSubscribeInstances(u, h.consumers[i]); err != nil {
				return err
			}
			return h.members[i].Subscribe(u, h.consumers[i])
		})
	}
	if err := starting.Wait(); err != nil {
		b.Fatal(err)
	}
	h.awaitExact()
	return h
}

func service(i int) string { return fmt.Sprintf("com.example.Greeter%02d", i%services) }

// compact has etcd forget all that the members' watches have seen.
func (h *herd) compact() {
	h.b.Helper()
	h.etcd.Compact(testkit.Put(h.b, h.etcd.Client(), "/other", ""))
}

func (h *herd) kill() {
	h.etcd.Kill()
	h.proxy.Cut() // connections are refused, as if there were none
	time.Sleep(outage)
	h.etcd.Start()
	h.before = h.etcd.Metrics()
	h.proxy.Restore()
}

func (h *herd) cut() {
	h.proxy.Cut()
	time.Sleep(outage)
	h.before = h.etcd.Metrics()
	h.proxy.Restore()
}

func (h *herd) reset() {
	h.before = h.etcd.Metrics()
	h.proxy.Cut()
	h.proxy.Restore()
}

func (h *herd) wipe() {
	h.proxy.Cut()
	h.etcd.Wipe()
	h.before = h.etcd.Metrics()
	h.proxy.Restore()
}

// addProviders puts, for another program, a provider of each service.
func (h *herd) addProviders() {
	h.b.Helper()
	var puts []clientv3.Op
	for i := range services {
		u := fmt.Sprintf("tri://%s/%s?interface=%s&timestamp=1", testkit.Address(members+i), service(i), service(i))
		puts = append(puts, clientv3.OpPut("/dubbo/"+service(i)+"/providers/"+url.QueryEscape(u), ""))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.own["Txn"]++
	if _, err := h.client.Txn(ctx).Then(puts...).Commit(); err != nil {
		h.b.Fatal(err)
	}
	h.added = true
}

// providers are the addresses of one service.
func (h *herd) providers(s int) []string {
	var want []string
	for i := s; i < members; i += services {
		want = append(want, testkit.Address(i))
	}
	if h.added {
		want = append(want, testkit.Address(members+s))
	}
	return want
}

func (h *herd) awaitExact() {
	h.b.Helper()
	deadline := time.Now().Add(patience)
	for problem := h.problem(); problem != ""; problem = h.problem() {
		if time.Now().After(deadline) {
			h.b.Fatalf("after %v: %s", patience, problem)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// problem says what is missing, or nothing.
func (h *herd) problem() string {
	for i, c := range h.consumers {
		want := h.providers(i % services)
		if !c.knows(want) {
			return fmt.Sprintf("consumer %d does not know %v", i, want)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.own["Range"]++
	keys, err := h.client.Get(ctx, "/dubbo/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err.Error()
	}
	leased := 0
	for _, kv := range keys.Kvs {
		if kv.Lease != 0 {
			leased++
		}
	}
	if leased != members {
		return fmt.Sprintf("there are %d keys with a lease", leased)
	}
	return ""
}

// load is what etcd has counted when there was peace.
type load struct {
	etcdtest.Metrics
	at   time.Time
	peak float64 // requests in a second
}

// measure looks at etcd until there are no requests but keep-alives any more.
func (h *herd) measure() <-chan load {
	done := make(chan load, 1)
	h.own = map[string]int{}
	go func() {
		defer close(done) // also if etcd cannot be asked, which fails the benchmark
		end := load{Metrics: h.before, at: time.Now()}
		last := end.at
		for time.Since(end.at) < settled {
			time.Sleep(200 * time.Millisecond)
			m, now := h.etcd.Metrics(), time.Now()
			if n := requests(m) - requests(end.Metrics); n > 0 {
				end = load{m, now, max(end.peak, float64(n)/now.Sub(last).Seconds())}
			}
			last = now
		}
		done <- end
	}()
	return done
}

func requests(m etcdtest.Metrics) (n int) {
	for _, method := range methods {
		n += m.Requests(method)
	}
	return n
}

// requireExactStill requires that no lease runs out in which a key was left.
func (h *herd) requireExactStill() {
	h.b.Helper()
	time.Sleep(herdSession)
	if problem := h.problem(); problem != "" {
		h.b.Fatalf("it was exact, and is not any more: %s", problem)
	}
}

func (h *herd) leave() {
	var leaving sync.WaitGroup
	for _, r := range h.members {
		leaving.Go(r.Destroy)
	}
	leaving.Wait()
}

// herdConsumer knows addresses.
type herdConsumer struct {
	mu    sync.Mutex
	known map[string]bool
}

func (c *herdConsumer) knows(want []string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range want {
		if !c.known[a] {
			return false
		}
	}
	return len(c.known) == len(want)
}

func (c *herdConsumer) Notify(e *registry.ServiceEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Action == remoting.EventTypeDel {
		delete(c.known, e.Service.Address())
	} else {
		c.known[e.Service.Address()] = true
	}
}

func (c *herdConsumer) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
	for _, e := range events {
		c.known[e.Service.Address()] = true
	}
}
