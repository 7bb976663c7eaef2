// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// atOnce is how many calls of Register a process makes at a time.
const atOnce = 16

// register measures one call after another: of one service, after the first.
func register(b *testing.B, c Contender, fsync bool) {
	r := open(b, c, c.Start(b, fsync), noCache()...)
	mustRegister(b, r, 0)
	once(b, func() {
		var took distribution
		for i := range scale.Of(500, 20) {
			u := provider(serviceName(0), 1+i)
			begin := time.Now()
			if err := r.Register(u); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		took.report(b)
	})
}

// registerMany measures a process that has many providers, of one service.
func registerMany(b *testing.B, c Contender, fsync bool) {
	r := open(b, c, c.Start(b, fsync), noCache()...)
	mustRegister(b, r, 0)
	once(b, func() { reportTime(b, registerAll(b, r, 0, 1, scale.Of(2000, 50)), "total") })
}

func mustRegister(b *testing.B, r Registry, i int) {
	b.Helper()
	if err := r.Register(provider(serviceName(0), i)); err != nil {
		b.Fatal(err)
	}
}

// registerAll registers n providers of a service, from the i-th on, and returns
// how long that took.
func registerAll(b *testing.B, r Registry, service, i, n int) time.Duration {
	b.Helper()
	var registering errgroup.Group
	registering.SetLimit(atOnce)
	begin := time.Now()
	for ; n > 0; i, n = i+1, n-1 {
		u := provider(serviceName(service), i)
		registering.Go(func() error { return r.Register(u) })
	}
	if err := registering.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}
