// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const services = 20

// provider is a process of an application as it starts: the framework makes the
// discovery and the report, maps each service, and registers the instance.
type provider struct {
	t           testing.TB
	application string
	report      report.MetadataReport
	discovery   registry.ServiceDiscovery
}

func newProvider(t testing.TB, address, application string, params ...string) *provider {
	t.Helper()
	params = noCache(params...)
	d := testkit.NewDiscovery(t, address, params...)
	return &provider{t, application, newReport(t, address, params...), d}
}

func (p *provider) mapServices() {
	p.t.Helper()
	for i := range services {
		require.NoError(p.t, p.report.RegisterServiceAppMapping(service(i), group, p.application))
	}
}

func (p *provider) register() error {
	return p.discovery.Register(&registry.DefaultServiceInstance{ServiceName: p.application, Host: "10.0.0.1", Port: 20000})
}

func service(i int) string { return fmt.Sprintf("%s%02d", greeter, i) }

// requireServices checks that each service has these applications, in any order,
// and returns the revisions at which that was written.
func requireServices(t testing.TB, client *clientv3.Client, root string, applications ...string) (revisions map[int64]bool) {
	t.Helper()
	response := testkit.List(t, client, root+"/mapping/")
	require.Len(t, response.Kvs, services)
	revisions = map[int64]bool{}
	for _, kv := range response.Kvs {
		require.ElementsMatch(t, applications, strings.Split(string(kv.Value), ","), "%s", kv.Key)
		revisions[kv.ModRevision] = true
	}
	return revisions
}

func registered(t testing.TB, client *clientv3.Client, application string) bool {
	t.Helper()
	_, ok := testkit.Value(t, client, "/services/"+application+"/10.0.0.1:20000")
	return ok
}

func TestApplicationsThatContendForTheSameServicesAreAllThere(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 6} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			var (
				applications []string
				running      sync.WaitGroup
			)
			for i := range n {
				p := newProvider(t, etcdtest.NewProxy(t, etcd.Endpoint()).Addr(), fmt.Sprintf("shop%d", i)) // as if it was another process
				applications = append(applications, p.application)
				running.Go(func() {
					for i := range services {
						assert.NoError(t, p.report.RegisterServiceAppMapping(service(i), group, p.application))
					}
					assert.NoError(t, p.register())
				})
			}
			running.Wait()
			requireServices(t, etcd.Client(), "/dubbo", applications...)
			for _, application := range applications {
				require.True(t, registered(t, etcd.Client(), application))
			}
		})
	}
}

// A consumer that sees an instance asks for what belongs to it at once.
func TestAnInstanceIsNotSeenBeforeItsMappingsAndItsMetadata(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	other := etcdtest.Start(t) // has a registry and a report, too
	begin := testkit.Put(t, etcd.Client(), "/begin", "")
	p, q := newProvider(t, other.Endpoint(), "shop"), newProvider(t, etcd.Endpoint(), "shop")
	q.mapServices()
	p.mapServices()
	require.NoError(t, q.report.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	require.NoError(t, p.register()) // on the other one
	require.True(t, registered(t, other.Client(), "shop"))
	requireServices(t, other.Client(), "/dubbo", "shop")
	requireServices(t, etcd.Client(), "/dubbo", "shop")
	require.NoError(t, q.register())

	seen := map[string]bool{}
	for response := range etcd.Client().Watch(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithRev(begin)) {
		for _, e := range response.Events {
			if key := string(e.Kv.Key); strings.HasPrefix(key, "/services/") {
				assert.Len(t, seen, 1+services+1)
				assert.True(t, seen["/dubbo/shop/r1"])
				return
			} else {
				seen[key] = true
			}
		}
	}
}

func TestAReportThatIsClosedWritesWhatItHasPutOff(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	p := newProvider(t, etcd.Endpoint(), "shop")
	p.mapServices()
	closeReport(t, p.report)
	requireServices(t, etcd.Client(), "/dubbo", "shop")
	require.NoError(t, p.register())
}

// What follows is not run beside other tests: in one process an instance waits
// for all that is put off, on whichever etcd.

func TestTwentyServicesOfAnApplicationTakeTwoTransactions(t *testing.T) {
	etcd := etcdtest.Start(t)
	txns := func() int { return etcd.Metrics().Requests("Txn") }
	var revisions map[int64]bool
	for _, start := range []string{"new", "restarted"} {
		before := txns()
		p := newProvider(t, etcd.Endpoint(), "shop")
		p.mapServices()
		assert.LessOrEqual(t, txns()-before, 1, "%s: only the first is waited for", start)
		require.NoError(t, p.register())
		assert.LessOrEqual(t, txns()-before, 4, "%s: two of them are of the instance and its lease", start)
		require.True(t, registered(t, etcd.Client(), "shop"))
		now := requireServices(t, etcd.Client(), "/dubbo", "shop")
		assert.Len(t, now, 2, "written in two transactions")
		if revisions != nil {
			assert.Equal(t, revisions, now, "nothing is written anew")
		}
		revisions = now
		require.NoError(t, p.discovery.Destroy())
		closeReport(t, p.report)
	}
}

func TestMetadataThatIsPublishedForEachServiceIsWrittenOnce(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProvider(t, etcd.Endpoint(), "shop")
	p.mapServices()
	for range services {
		require.NoError(t, p.report.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
		require.NoError(t, p.register())
	}
	assert.LessOrEqual(t, etcd.Metrics().Requests("Txn"), 4)
	_, ok := testkit.Value(t, etcd.Client(), "/dubbo/shop/r1")
	assert.True(t, ok)
}

// With several registries there is a report for each of them.
func TestAllReportsOnAnEtcdAreWaitedFor(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProvider(t, etcd.Endpoint(), "shop")
	same := newReport(t, etcd.Endpoint(), noCache()...)
	tenant := newReport(t, etcd.Endpoint(), noCache("metadata-report.namespace", "tenant")...)
	for i := range services {
		for _, r := range []report.MetadataReport{p.report, same, tenant} {
			require.NoError(t, r.RegisterServiceAppMapping(service(i), group, "shop"))
		}
	}
	require.NoError(t, p.register())
	requireServices(t, etcd.Client(), "/dubbo", "shop")
	requireServices(t, etcd.Client(), "/tenant/dubbo", "shop")
	assert.LessOrEqual(t, etcd.Metrics().Requests("Txn"), 2*3+2)
}

func TestMappingsOfAProcessThatRegistersNoInstanceAreWritten(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProvider(t, etcd.Endpoint(), "shop")
	p.mapServices()
	requireValue(t, etcd, "/dubbo/mapping/"+service(services-1), "shop")
	assert.Len(t, requireServices(t, etcd.Client(), "/dubbo", "shop"), 2)
}

func TestAMappingThatEtcdRefusesIsAnErrorOfTheRegistration(t *testing.T) {
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/services/")
	forbidden := "/dubbo/mapping/" + service(7)
	testkit.Grant(t, root, "shop", "/dubbo/", forbidden)
	testkit.Grant(t, root, "shop", forbidden+"\x00", "/dubbo0")
	p := newProvider(t, etcd.Endpoint(), "shop", testkit.As("shop", testkit.Password, "timeout", "60s")...)
	p.mapServices()
	begun := time.Now()
	err := p.register()
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, err, "the mapping of "+service(7)+" to shop")
	assert.NotContains(t, err.Error(), "s3cret")
	assert.Less(t, time.Since(begun), 20*time.Second)
	assert.False(t, registered(t, root, "shop"))
	assert.Len(t, testkit.Keys(t, root, "/dubbo/mapping/"), services-1, "the others do not suffer for it")
	require.ErrorContains(t, p.register(), "permission denied", "it still is")
	assert.ErrorContains(t, p.report.RegisterServiceAppMapping(service(7), group, "inn"), "permission denied", "at once: the process has started")

	testkit.Grant(t, root, "shop", "/dubbo/", "/dubbo0")
	require.NoError(t, p.register())
	assert.True(t, registered(t, root, "shop"))
	requireServices(t, root, "/dubbo", "shop")
}

// What docs/security.md says to be enough, and no more.
func TestAnApplicationNeedsTheRightsToItsOwnKeysOnly(t *testing.T) {
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/services/shop/")
	testkit.GrantPrefix(t, root, "shop", "/dubbo/shop/")
	for i := range services {
		testkit.GrantPrefix(t, root, "shop", "/dubbo/mapping/"+service(i))
	}
	p := newProvider(t, etcd.Endpoint(), "shop", testkit.As("shop", testkit.Password)...)
	p.mapServices()
	require.NoError(t, p.report.PublishAppMetadata("shop", "r1", info.NewMetadataInfo("shop", "")))
	require.NoError(t, p.register())
	requireServices(t, root, "/dubbo", "shop")
	require.NotEmpty(t, testkit.Keys(t, root, "/dubbo/shop/r1"))
	require.True(t, registered(t, root, "shop"))
	requireMapping(t, p.report, service(0), "shop")
	require.Len(t, p.discovery.GetInstances("shop"), 1)
}

func TestAnEtcdThatGoesAwayWhileAProviderStarts(t *testing.T) {
	for _, check := range []string{"false", "true"} {
		t.Run("check="+check, func(t *testing.T) {
			etcd := etcdtest.Start(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			p := newProvider(t, proxy.Addr(), "shop", "timeout", "1s", "registry.timeout", "1s", "check", check)
			p.mapServices()
			proxy.Cut()
			begun := time.Now()
			err := p.register()
			assert.Less(t, time.Since(begun), 5*time.Second)
			if check == "true" {
				require.ErrorContains(t, err, proxy.Addr())
				require.False(t, registered(t, etcd.Client(), "shop"))
				proxy.Restore()
				require.True(t, testkit.Eventually(func() bool { return p.register() == nil }))
			} else {
				require.NoError(t, err)
				proxy.Restore()
			}
			requireValue(t, etcd, "/dubbo/mapping/"+service(services-1), "shop")
			require.True(t, testkit.Eventually(func() bool { return registered(t, etcd.Client(), "shop") }))
			requireServices(t, etcd.Client(), "/dubbo", "shop")
		})
	}
}

func TestAnEtcdThatIsWipedWhileAProviderStarts(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProvider(t, etcd.Endpoint(), "shop")
	p.mapServices()
	etcd.Wipe()
	require.NoError(t, p.register())
	require.True(t, registered(t, etcd.Client(), "shop"))
	requireValue(t, etcd, "/dubbo/mapping/"+service(0), "shop") // was written before
	requireServices(t, etcd.Client(), "/dubbo", "shop")
}
