// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// outages are what happens to etcd under both, until it is there again.
var outages = map[string]func(testing.TB, *etcdtest.Server, *etcdtest.Proxy){
	"Restarted": func(_ testing.TB, etcd *etcdtest.Server, _ *etcdtest.Proxy) { etcd.Kill(); etcd.Start() },
	"Wiped":     func(_ testing.TB, etcd *etcdtest.Server, _ *etcdtest.Proxy) { etcd.Wipe() },
	"CutOff": func(t testing.TB, etcd *etcdtest.Server, proxy *etcdtest.Proxy) { // for longer than the sessions
		proxy.Cut()
		testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Leases(t, etcd.Client())) == 0 })
		proxy.Restore()
	},
}

// What Java does is in the log of the test only: whether it hears of its connection
// in time is a matter of chance.
func TestOursRecoversWhateverJavaDoes(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		for name, strike := range outages {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				etcd := etcdtest.Start(t)
				proxy := etcdtest.NewProxy(t, etcd.Endpoint())
				var consumers []*peer // in Go, and in Java
				for _, s := range []side{goSide(), javaSide(v)} {
					at := strings.Replace(s.registry(proxy.Addr()), "session=10000", "session=5000", 1)
					s.start(t, "in"+s.language, at, plain(t), "weight=100")
					consumers = append(consumers, s.start(t, "consumer", at, referPlain))
				}
				for _, c := range consumers {
					requireCalls(t, c, 0, "inGo@/", "inJava@/")
				}
				strike(t, etcd, proxy)
				goSide().start(t, "later", goSide().registry(etcd.Endpoint()), plain(t), "weight=100")
				all := []string{"inGo@/", "inJava@/", "later@/"}
				var seen string
				called := func(c *peer, want []string) bool {
					seen = c.do("call 0 60")
					return answeredBy(seen, want...)
				}
				_, ok := testkit.Poll(testkit.LongPatience, 0, func() bool {
					want := all
					if len(testkit.Values(t, etcd.Client(), "/dubbo/"+plainInterface+"/providers/")) == 2 {
						want = []string{"inGo@/", "later@/"} // Java's has not registered again
					}
					return called(consumers[0], want)
				})
				require.True(t, ok, "the consumer in Go has %q", seen)
				took, _ := testkit.Poll(testkit.Patience, time.Second, func() bool { return called(consumers[1], all) })
				t.Logf("the consumer in Java has %q after %v", seen, took.Round(time.Second))
			})
		}
	})
}
