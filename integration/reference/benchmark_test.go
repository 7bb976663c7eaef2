// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"fmt"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/protocol/invocation"
	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// BenchmarkTenThousandInstances is what a reference to an application of that
// size costs: to be made, beside the range read and the JSON alone, and to hear
// of one change.
func BenchmarkTenThousandInstances(b *testing.B) {
	const n = 10_000
	logger.SetLoggerLevel("error") // the framework has a line for each provider
	etcd := etcdtest.Start(b)
	p := newProcess(b, etcd, etcd.Endpoint())
	p.serve("shop", n, "org.a.Greeter")
	b.Run("bare read and JSON", func(b *testing.B) { testkit.BenchmarkBareRead(b, etcd.Client(), "/services/shop/") })
	b.Run("refer", func(b *testing.B) {
		for b.Loop() {
			d := p.refer("org.a.Greeter")
			require.Len(b, d.List(invocation.NewRPCInvocation("Greet", nil, nil)), n)
			b.StopTimer()
			d.Destroy()
			b.StartTimer()
		}
	})
	b.Run("one change", func(b *testing.B) {
		d := p.refer("org.a.Greeter")
		for i := 0; b.Loop(); i++ {
			key, want := instanceKey("shop", n), n+1
			if i%2 == 0 {
				p.put(key, p.instance("shop", n, fmt.Sprint(i)))
			} else {
				testkit.Delete(b, p.etcd, key)
				want = n
			}
			for len(d.List(invocation.NewRPCInvocation("Greet", nil, nil))) != want {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
}
