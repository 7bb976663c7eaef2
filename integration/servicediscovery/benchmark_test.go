// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// BenchmarkTenThousandInstances is of one application: what a consumer waits
// for, against the range read and the JSON that cannot be saved; and how long
// one change takes to be told, with the list of all.
func BenchmarkTenThousandInstances(b *testing.B) {
	const n = 10_000
	etcd := etcdtest.Start(b)
	provider := open(b, etcd.Endpoint(), "session", "60s", "registry.timeout", "30s")
	var group errgroup.Group
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error {
			return provider.Register(instance("greeter", fmt.Sprintf("10.%d.%d.1", i/250, i%250), 20000,
				"dubbo.endpoints", `[{"port":20000,"protocol":"tri"}]`, "dubbo.metadata.revision", "0123456789abcdef0123456789abcdef",
				"dubbo.metadata-service.url-params", `{"dubbo":{"version":"1.0.0","port":"20880","protocol":"tri"}}`, "timestamp", "1700000000"))
		})
	}
	require.NoError(b, group.Wait())

	b.Run("bare read and JSON", func(b *testing.B) { testkit.BenchmarkBareRead(b, etcd.Client(), "/services/greeter/") })
	b.Run("GetInstances first", func(b *testing.B) {
		for b.Loop() {
			d := open(b, etcd.Endpoint(), "registry.namespace", "") // whose watches are shared with nobody yet
			require.Len(b, d.GetInstances("greeter"), n)
			b.StopTimer()
			require.NoError(b, d.Destroy())
			b.StartTimer()
		}
	})
	b.Run("GetInstances again", func(b *testing.B) {
		d := open(b, etcd.Endpoint())
		require.Len(b, d.GetInstances("greeter"), n)
		for b.Loop() {
			require.Len(b, d.GetInstances("greeter"), n)
		}
	})
	b.Run("one change told", func(b *testing.B) {
		r := subscribe(b, open(b, etcd.Endpoint()), "greeter")
		for i := 0; b.Loop(); i++ {
			told := r.count()
			require.NoError(b, provider.Update(instance("greeter", "10.0.0.1", 20000, "turn", fmt.Sprint(i, time.Now().UnixNano()))))
			for r.count() == told {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
}
