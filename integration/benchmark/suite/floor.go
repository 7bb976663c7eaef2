// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// AgainstFloor measures a contender on etcd and the floor in turns, in one
// process and on one server, so that the metric "x-floor" depends on little else:
// what one has taken by what the other has, both medians.
func AgainstFloor(b *testing.B, c Contender) {
	logger.SetLoggerLevel("fatal")
	for _, fsync := range []bool{false, true} {
		b.Run("Register/fsync="+onOff(fsync), func(b *testing.B) { registerAgainstFloor(b, c, fsync) })
		b.Run("RegisterMany/fsync="+onOff(fsync), func(b *testing.B) { registerManyAgainstFloor(b, c, fsync) })
	}
	for _, n := range scale.Starts() {
		b.Run("Start/"+strconv.Itoa(n), func(b *testing.B) { startAgainstFloor(b, c, n) })
	}
}

// inTurns calls both, some times, and reports how long they took.
func inTurns(b *testing.B, rounds int, ours, floor func(round int) time.Duration) {
	once(b, func() {
		var mine, others distribution
		for i := range rounds {
			if i%2 == 0 { // nobody always comes second
				mine = append(mine, ours(i))
				others = append(others, floor(i))
			} else {
				others = append(others, floor(i))
				mine = append(mine, ours(i))
			}
		}
		reportTime(b, mine.median(), "ours-p50")
		reportTime(b, others.median(), "floor-p50")
		b.ReportMetric(float64(mine.median())/float64(others.median()), "x-floor")
	})
}

// both are a registry and the floor, at one etcd.
func both(b *testing.B, c Contender, store Store) (ours, floor Registry) {
	b.Helper()
	return open(b, c, store, noCache()...), open(b, Bare, store)
}

func registerAgainstFloor(b *testing.B, c Contender, fsync bool) {
	ours, floor := both(b, c, c.Start(b, fsync))
	one := func(r Registry, service int) func(int) time.Duration {
		return func(i int) time.Duration {
			u := provider(serviceName(service), i)
			begin := time.Now()
			if err := r.Register(u); err != nil {
				b.Fatal(err)
			}
			return time.Since(begin)
		}
	}
	one(ours, 0)(0) // the first takes the lease
	one(floor, 1)(0)
	first := func(f func(int) time.Duration) func(int) time.Duration {
		return func(i int) time.Duration { return f(1 + i) }
	}
	inTurns(b, scale.Of(1000, 20), first(one(ours, 0)), first(one(floor, 1)))
}

func registerManyAgainstFloor(b *testing.B, c Contender, fsync bool) {
	n, store := scale.Of(2000, 50), c.Start(b, fsync)
	many := func(c Contender, service int) func(int) time.Duration {
		return func(int) time.Duration {
			r, err := c.Open(store.Address(), noCache()...)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Destroy()
			if err := r.Register(provider(serviceName(service), n)); err != nil {
				b.Fatal(err)
			}
			return registerAll(b, r, service, 0, n)
		}
	}
	inTurns(b, scale.Of(7, 2), many(c, 0), many(Bare, 1))
}

func startAgainstFloor(b *testing.B, c Contender, n int) {
	store := c.Start(b, false)
	store.Fill(b, fleet(n, 1))
	one := func(c Contender) func(int) time.Duration {
		return func(int) time.Duration {
			l := newListener()
			known := l.expectCount(n)
			runtime.GC() // what others have left is not this one's to collect
			begin := time.Now()
			r, err := c.Open(store.Address(), noCache()...)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Destroy()
			if err := r.Subscribe(consumer(serviceName(0)), l); err != nil {
				b.Fatal(err)
			}
			select {
			case at := <-known:
				return at.Sub(begin)
			case <-time.After(2 * patience):
				b.Fatalf("the listener knows %d providers of %d", l.count(), n)
				return 0
			}
		}
	}
	inTurns(b, scale.Of(15, 2), one(c), one(Bare))
}

// Batches measures etcd itself: how long it takes to put many keys, so many in a
// transaction, one transaction after another.
func Batches(b *testing.B) {
	for _, fsync := range []bool{false, true} {
		for _, size := range scale.Batches {
			b.Run("fsync="+onOff(fsync)+"/"+strconv.Itoa(size), func(b *testing.B) { batches(b, fsync, size) })
		}
	}
}

func batches(b *testing.B, fsync bool, size int) {
	store, n := Etcd(b, fsync).(*etcdStore), scale.Of(2000, 50)
	keys := fleet(n, 1)
	lease, err := store.client.Grant(context.Background(), 600)
	if err != nil {
		b.Fatal(err)
	}
	once(b, func() {
		begin := time.Now()
		for at := 0; at < n; at += size {
			var puts []clientv3.Op
			for _, key := range keys[at:min(at+size, n)] {
				puts = append(puts, clientv3.OpPut(key, "", clientv3.WithLease(lease.ID)))
			}
			if _, err := store.client.Txn(context.Background()).Then(puts...).Commit(); err != nil {
				b.Fatal(err)
			}
		}
		reportTime(b, time.Since(begin), "total")
		reportTime(b, time.Since(begin)/time.Duration(n), "per-key")
	})
}
