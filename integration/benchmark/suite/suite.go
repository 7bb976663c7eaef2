// SPDX-License-Identifier: Apache-2.0

// Package suite has benchmarks of a registry named etcdv3, whichever is linked:
// package ours runs them on this project's, package builtin on dubbo-go's own,
// and both on bare etcd, so that one run compares all three.
package suite

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	service   = "org.a.Greeter"
	providers = "/dubbo/" + service + "/providers/"
)

// Run runs all benchmarks.
func Run(b *testing.B) {
	logger.SetLoggerLevel("fatal")
	b.Run("Register/one-after-another", func(b *testing.B) { register(b, 1) })
	b.Run("Register/64-at-a-time", func(b *testing.B) { register(b, 64) })
	b.Run("Discover/100", func(b *testing.B) { discover(b, 100) })
	b.Run("Discover/1000", func(b *testing.B) { discover(b, 1000) })
	b.Run("Change/1000", func(b *testing.B) { change(b, 1000) })
}

// RunBare does with etcd's client alone what the registries have to do.
func RunBare(b *testing.B) {
	b.Run("Register/one-after-another", func(b *testing.B) { put(b, 1) })
	b.Run("Register/64-at-a-time", func(b *testing.B) { put(b, 64) })
	b.Run("Discover/100", func(b *testing.B) { list(b, 100) })
	b.Run("Discover/1000", func(b *testing.B) { list(b, 1000) })
	b.Run("Change/1000", func(b *testing.B) { watch(b, 1000) })
}

func newRegistry(b *testing.B, etcd *etcdtest.Server) registry.Registry {
	b.Helper()
	r, err := testkit.OpenRegistry(etcd.Endpoint(), constant.RegistryTimeoutKey, "60s", "file-cache", "false")
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// register measures Register of one provider; parallel calls at a time.
func register(b *testing.B, parallel int) {
	r := newRegistry(b, etcdtest.Start(b))
	mustRegister(b, r, 0)
	var n atomic.Int64
	each(b, parallel, func() { mustRegister(b, r, int(n.Add(1))) })
}

func put(b *testing.B, parallel int) {
	client := etcdtest.Start(b).Client()
	lease, err := client.Grant(context.Background(), 600)
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	each(b, parallel, func() {
		if _, err := client.Put(context.Background(), key(int(n.Add(1))), "", clientv3.WithLease(lease.ID)); err != nil {
			b.Error(err)
		}
	})
}

func each(b *testing.B, parallel int, f func()) {
	if parallel == 1 {
		for b.Loop() {
			f()
		}
		return
	}
	b.SetParallelism(parallel / 2) // times GOMAXPROCS, which is 2 where this was measured
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f()
		}
	})
}

// discover measures the time from the first call of a consumer's directory
// until it has been told of n providers that are registered.
func discover(b *testing.B, n int) {
	etcd := etcdtest.Start(b)
	fill(b, etcd, n)
	for b.Loop() {
		r, l := newRegistry(b, etcd), newListener()
		subscribe(b, r, l)
		l.await(b, n)
		b.StopTimer()
		r.Destroy()
		b.StartTimer()
	}
}

func list(b *testing.B, n int) {
	etcd := etcdtest.Start(b)
	fill(b, etcd, n)
	for b.Loop() {
		client := etcd.NewClient(nil)
		if _, err := client.Get(context.Background(), providers, clientv3.WithPrefix()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = client.Close()
		b.StartTimer()
	}
}

// change measures the time from the put of a provider's key, by somebody else,
// until a listener that knows n others has been told. A registry that does not
// tell it within twenty seconds is skipped.
func change(b *testing.B, n int) {
	etcd := etcdtest.Start(b)
	fill(b, etcd, n)
	r, l := newRegistry(b, etcd), newListener()
	subscribe(b, r, l)
	l.await(b, n)
	for i := n; b.Loop(); i++ {
		putKey(b, etcd, i)
		l.await(b, i+1)
	}
}

func watch(b *testing.B, n int) {
	etcd := etcdtest.Start(b)
	fill(b, etcd, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := etcd.NewClient(nil).Watch(ctx, providers, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	for i := n; b.Loop(); i++ {
		putKey(b, etcd, i)
		<-events
	}
}

// listener counts what it has been told of.
type listener struct{ known atomic.Int64 }

func newListener() *listener { return &listener{} }

func (l *listener) Notify(e *registry.ServiceEvent) {
	if e.Action == remoting.EventTypeAdd {
		l.known.Add(1)
	}
}

func (l *listener) NotifyAll(events []*registry.ServiceEvent, done func()) {
	l.known.Store(int64(len(events)))
	done()
}

func (l *listener) await(b *testing.B, n int) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); l.known.Load() < int64(n); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			b.Skipf("the listener was told of %d providers, of %d", l.known.Load(), n)
		}
	}
}

// subscribe does what the framework's directory does.
func subscribe(b *testing.B, r registry.Registry, l registry.NotifyListener) {
	b.Helper()
	u := serviceURL(":20000", common.CONSUMER)
	if err := r.LoadSubscribeInstances(u, l); err != nil {
		b.Fatal(err)
	}
	go func() { _ = r.Subscribe(u, l) }()
}

func serviceURL(hostPort string, role int) *common.URL {
	return testkit.ServiceURL("tri", service, hostPort, constant.RegistryRoleKey, strconv.Itoa(role), constant.TimestampKey, testkit.Timestamp)
}

func mustRegister(b *testing.B, r registry.Registry, i int) {
	if err := r.Register(serviceURL(ip(i)+":20000", common.PROVIDER)); err != nil {
		b.Error(err)
	}
}

func ip(i int) string { return fmt.Sprintf("127.%d.%d.%d", i/65536, i/256%256, i%256) }

func key(i int) string {
	return providers + url.QueryEscape("tri://"+ip(i)+":20000/"+service+"?anyhost=true&interface="+service+"&methods=Greet&registry.role=3&timestamp=1700000000")
}

func putKey(b *testing.B, etcd *etcdtest.Server, i int) {
	testkit.Put(b, etcd.Client(), key(i), "")
}

func fill(b *testing.B, etcd *etcdtest.Server, n int) {
	for i := range n {
		putKey(b, etcd, i)
	}
}
