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
var outages = map[string]func(*etcdtest.Server, *etcdtest.Proxy){
	"Restarted": func(etcd *etcdtest.Server, _ *etcdtest.Proxy) { etcd.Kill(); etcd.Start() },
	"Wiped":     func(etcd *etcdtest.Server, _ *etcdtest.Proxy) { etcd.Wipe() },
	"CutOff": func(_ *etcdtest.Server, proxy *etcdtest.Proxy) { // for longer than the session
		proxy.Cut()
		time.Sleep(12 * time.Second)
		proxy.Restore()
	},
}

func TestOursRecoversWhateverJavaDoes(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		for name, strike := range outages {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				etcd := etcdtest.Start(t)
				proxy := etcdtest.NewProxy(t, etcd.Endpoint())
				consumers := map[string]*peer{}
				for _, s := range []side{goSide(), javaSide(v)} {
					at := s.registry(proxy.Addr())
					s.start(t, "in"+s.language, strings.Replace(at, "session=10000", "session=5000", 1), plain(t), "weight=100")
					consumers[s.language] = s.start(t, "consumer", strings.Replace(at, "session=10000", "session=5000", 1), referPlain)
				}
				for _, c := range consumers {
					requireCalls(t, c, 0, "inGo@/", "inJava@/")
				}
				strike(etcd, proxy)
				later := goSide().start(t, "later", goSide().registry(etcd.Endpoint()), plain(t), "weight=100")
				require.NotNil(t, later)
				for limit, c := range consumers {
					var seen string
					took, _ := testkit.Poll(90*time.Second, 200*time.Millisecond, func() bool {
						seen = c.do("call 0 60")
						return answeredBy(seen, "inGo@/", "inJava@/", "later@/")
					})
					t.Logf("OBSERVED %s: the consumer in %s has %q after %v", name, limit, seen, took.Round(time.Second))
				}
				t.Logf("OBSERVED %s: keys %d", name, len(testkit.Values(t, etcd.Client(), "/dubbo/"+plainInterface+"/providers/")))
			})
		}
	})
}
