// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Two processes with one address: each takes the key back when it looks.
func TestTwoProcessesWithOneAddressAreToldOf(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	client := etcd.Client()
	granted := func() clientv3.LeaseID {
		lease, err := client.Grant(t.Context(), 600)
		require.NoError(t, err)
		return lease.ID
	}
	a, b, gone := granted(), granted(), granted()
	register := func(host string, leases ...clientv3.LeaseID) {
		for _, lease := range leases {
			testkit.Put(t, client, "/services/shop/"+host+":20000", fmt.Sprintf(`{"serviceName":"shop","host":%q,"port":20000}`, host), clientv3.WithLease(lease))
		}
	}
	register("10.0.0.1", b, a, a, b)
	register("10.0.0.2", gone, a, a)       // it was started again
	register("10.0.0.3", a, gone, gone, a) // whoever it was has ended
	register("10.0.0.4", a, a, a)          // what it says has changed
	testkit.Revoke(t, client, gone)
	_, report := examined(t, Options{Service: at(etcd.Endpoint())})
	requireLine(t, report, Warning, "keys", fmt.Sprintf("two processes register 10.0.0.1:20000 of shop: its key goes to and fro between the leases %x and %x", b, a), "another port")
	require.Equal(t, 1, strings.Count(report, "two processes register"), report)

	etcd.Compact(testkit.Revision(t, client))
	healthy, report := examined(t, Options{Service: at(etcd.Endpoint())})
	require.True(t, healthy, report)
	require.NotContains(t, report, "two processes register", "etcd has forgotten it")
}

// The registry itself, twice: over another address of etcd it has another lease.
func TestTwoRegistriesWithOneAddressAreToldOf(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for _, address := range []string{etcd.Endpoint(), etcdtest.NewProxy(t, etcd.Endpoint()).Addr()} {
		require.NoError(t, testkit.NewDiscovery(t, address, "session", "5s").Register(
			&registry.DefaultServiceInstance{ServiceName: "shop", Host: "10.0.0.1", Port: 20000, Enable: true, Healthy: true}))
	}
	var report string
	testkit.Await(t, 2*time.Minute, func() bool {
		_, report = examined(t, Options{Service: at(etcd.Endpoint()), Samples: 1})
		return strings.Contains(report, "two processes register 10.0.0.1:20000 of shop")
	}, "%v", &report)
}

// What the doctor advises is what gc does.
func TestOfWhatIsLeftOverTheAdviceIsWhatIsDone(t *testing.T) {
	t.Parallel()
	const provider, instance = "/dubbo/a.B/providers/", "/services/other/10.0.0.1:20000"
	for do, pairs := range map[string][]string{
		"-> if it is gone for good: console gc\n":                                                              {instance, `{"serviceName":"other","host":"10.0.0.1","port":20000}`},
		"-> if it is gone for good, and no instance is registered in another etcd: console gc -no-instances\n": {"/dubbo/a.B", ""},
		"-> nothing: console gc leaves it, as shop has providers at interface level\n":                         {provider + url.QueryEscape("tri://10.0.0.1:20000/a.B?application=shop"), ""},
	} {
		etcd := etcdtest.Start(t)
		testkit.Put(t, etcd.Client(), "/dubbo/mapping/a.B", "shop")
		testkit.Put(t, etcd.Client(), pairs[0], pairs[1])
		_, report := examined(t, Options{Service: at(etcd.Endpoint()), Samples: 1})
		requireLine(t, report, Warning, "keys", "names the application shop, which has no instance", "")
		require.Contains(t, report, do)
	}
}
