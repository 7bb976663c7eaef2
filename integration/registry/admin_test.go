// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// everything is the URL that dubbo-admin subscribes to.
func everything(t testing.TB) *common.URL {
	t.Helper()
	u, err := common.NewURL(common.GetLocalIp()+":0", common.WithProtocol("admin"), common.WithParams(url.Values{
		"interface": {"*"}, "group": {"*"}, "version": {"*"}, "classifier": {"*"}, "enabled": {"*"}, "check": {"false"},
		"category": {"providers,consumers,routers,configurators"},
	}))
	require.NoError(t, err)
	return u
}

// keyOf is the key of entry n of a service.
func keyOf(service, category string, n int) string {
	forms := map[string]string{
		"providers":     "tri://10.0.0.%[2]d:20000/%[1]s?interface=%[1]s&side=provider&timestamp=1&group=g%[3]d&version=%[3]d",
		"consumers":     "consumer://10.1.0.%[2]d/%[1]s?category=consumers&interface=%[1]s&side=consumer&version=%[3]d",
		"routers":       "condition://0.0.0.0/%[1]s?category=routers&dynamic=false&rule=x&n=%[2]d",
		"configurators": "override://0.0.0.0/%[1]s?category=configurators&dynamic=false&enabled=false&n=%[2]d",
	}
	return "/dubbo/" + service + "/" + category + "/" + url.QueryEscape(fmt.Sprintf(forms[category], service, n, n%2))
}

var allCategories = []string{"providers", "consumers", "routers", "configurators"}

func requireKeys(t testing.TB, l *testkit.Listener, want map[string]bool) {
	t.Helper()
	var got []string
	require.True(t, testkit.Eventually(func() bool {
		got = slices.Collect(maps.Keys(l.URLs()))
		return len(got) == len(want) && !slices.ContainsFunc(got, func(key string) bool { return !want[key] })
	}), "told of %s, want %d", testkit.Abbreviate(got), len(want))
}

func TestASubscriptionToEverythingIsOneWatchOfAllInterfacesPresentAndFuture(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"admin", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			want := map[string]bool{}
			for s := range 30 { // none has the key of the interface
				for _, category := range allCategories {
					key := keyOf(fmt.Sprintf("org.all.S%d", s), category, s)
					want[key] = true
					testkit.Put(t, etcd.Client(), key, "")
				}
			}
			// What else may be under the root.
			for _, key := range []string{"/dubbo/mapping/org.all.S1", "/dubbo/config/dubbo/org.all.S1.configurators", "/dubbo/org.all.S1", "/dubbo/metadata/a/b/c"} {
				testkit.Put(t, etcd.Client(), key, "")
			}
			r := testkit.NewRegistry(t, etcd.Endpoint())
			l := &testkit.Listener{}
			u := everything(t)
			u.Protocol = protocol
			before := etcd.Metrics().Requests("Range")
			require.NoError(t, r.Subscribe(u, l))
			requireKeys(t, l, want)
			alls, singles := l.Counts()
			assert.Equal(t, 1, alls, "the complete list comes first")
			assert.Empty(t, singles)
			testkit.RequireWatchers(t, etcd, 1)
			assert.Equal(t, 1, etcd.Metrics().Requests("Range")-before, "range reads")

			for s := 30; s < 33; s++ { // interfaces of the future
				for _, category := range allCategories {
					key := keyOf(fmt.Sprintf("org.all.S%d", s), category, s)
					want[key] = true
					testkit.Put(t, etcd.Client(), key, "")
				}
			}
			requireKeys(t, l, want)
			for s := range 3 { // all that there is of some
				for _, category := range allCategories {
					key := keyOf(fmt.Sprintf("org.all.S%d", s), category, s)
					delete(want, key)
					testkit.Delete(t, etcd.Client(), key)
				}
			}
			requireKeys(t, l, want)
			l.RequireNoFaults(t)
			testkit.RequireWatchers(t, etcd, 1)
			require.NoError(t, r.UnSubscribe(u, l))
			testkit.RequireWatchers(t, etcd, 0)
		})
	}
}

// administration keeps what it is told of as dubbo-admin's listener does (Go,
// pkg/admin/services/registry_service_sync.go): by category, as the URL has it
// or by its side, and by service; what comes last counts; a URL of the protocol
// empty ends what it names; and neither the action of an event nor the callback of
// a list is looked at. It is no pointer.
type administration struct{ *registryCache }

type registryCache struct {
	mu         sync.Mutex
	categories map[string]map[string]*common.URL
}

func newAdministration() administration {
	return administration{&registryCache{categories: map[string]map[string]*common.URL{}}}
}

func (a administration) Notify(e *registry.ServiceEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := e.Service
	category := u.GetParam("category", "")
	if category == "" {
		category = "providers"
		if u.GetParam("side", "") == "consumer" || u.Protocol == "consumer" {
			category = "consumers"
		}
	}
	services := a.categories[category]
	if services == nil {
		services = map[string]*common.URL{}
		a.categories[category] = services
	}
	if strings.EqualFold(u.Protocol, "empty") {
		group, version := u.Group(), u.Version()
		if group != "*" && version != "*" {
			delete(services, u.Service())
			return
		}
		for key := range services {
			service, g, v := common.ParseServiceKey(key)
			if service == u.Service() && (group == "*" || group == g) && (version == "*" || version == v) {
				delete(services, key)
			}
		}
		return
	}
	for key := range services {
		if service, _, _ := common.ParseServiceKey(key); service == u.Service() && key != u.ServiceKey() {
			delete(services, key)
		}
	}
	services[u.ServiceKey()] = u
}

func (a administration) NotifyAll(events []*registry.ServiceEvent, _ func()) {
	for _, e := range events {
		a.Notify(e)
	}
}

// known returns the URLs that it has of a category of a service.
func (a administration) known(service, category string) (urls []*common.URL) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range a.categories[category] {
		if u.Service() == service {
			urls = append(urls, u)
		}
	}
	return urls
}

func TestDubboAdminKnowsWhatThereIs(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	const service = "org.all.Service"
	for _, category := range allCategories {
		testkit.Put(t, etcd.Client(), keyOf(service, category, 1), "")
	}
	r := testkit.NewRegistry(t, etcd.Endpoint())
	a := newAdministration()
	require.NoError(t, r.Subscribe(everything(t), a))
	awaitKnown := func(category string, n int, part string) {
		t.Helper()
		var urls []*common.URL
		require.True(t, testkit.Eventually(func() bool {
			urls = a.known(service, category)
			return len(urls) == n && (n == 0 || strings.Contains(urls[0].String(), part))
		}), "%s: %v", category, urls)
	}
	for category, part := range map[string]string{"providers": "10.0.0.%d:", "consumers": "10.1.0.%d:", "routers": "n=%d", "configurators": "n=%d"} {
		part := func(n int) string { return fmt.Sprintf(part, n) }
		awaitKnown(category, 1, part(1))
		testkit.Put(t, etcd.Client(), keyOf(service, category, 2), "")
		awaitKnown(category, 1, part(2)) // what comes last counts
		testkit.Put(t, etcd.Client(), keyOf(service, category, 3), "")
		awaitKnown(category, 1, part(3))
		testkit.Delete(t, etcd.Client(), keyOf(service, category, 3)) // and what is gone does not
		awaitKnown(category, 1, part(2))
		testkit.Delete(t, etcd.Client(), keyOf(service, category, 1))
		awaitKnown(category, 1, part(2))
		testkit.Delete(t, etcd.Client(), keyOf(service, category, 2))
		awaitKnown(category, 0, "")
	}
	// All at once, and more than are told one by one.
	for n := range 60 {
		testkit.Put(t, etcd.Client(), keyOf(service, "providers", n), "")
	}
	require.True(t, testkit.Eventually(func() bool { return len(a.known(service, "providers")) > 0 }))
	testkit.DeleteAll(t, etcd.Client(), "/dubbo/"+service+"/")
	awaitKnown("providers", 0, "")
	require.NoError(t, r.UnSubscribe(everything(t), a))
	testkit.RequireWatchers(t, etcd, 0)
}

// BenchmarkEverything compares how long a subscription to everything takes
// with one range read of the same 10,000 keys of 1,000 interfaces.
func BenchmarkEverything(b *testing.B) {
	quiet(b)
	const interfaces, each = 1000, 10
	etcd := etcdtest.Start(b)
	for i := range interfaces {
		var puts []clientv3.Op
		for n := range each {
			key := strings.ReplaceAll(providerKey(n, "tri"), "org.a.Greeter", fmt.Sprintf("org.all.S%d", i))
			puts = append(puts, clientv3.OpPut(key, ""))
		}
		_, err := etcd.Client().Txn(context.Background()).Then(puts...).Commit()
		require.NoError(b, err)
	}
	var bare, ours time.Duration
	for b.Loop() {
		bare += timed(func() {
			response, err := etcd.Client().Get(context.Background(), "/dubbo/", clientv3.WithPrefix())
			require.NoError(b, err)
			require.Len(b, response.Kvs, interfaces*each)
		})
		r := testkit.NewRegistry(b, etcd.Endpoint(), "registry.timeout", "60s")
		l := &testkit.Listener{}
		ours += timed(func() { require.NoError(b, r.LoadSubscribeInstances(everything(b), l)) })
		require.Len(b, l.URLs(), interfaces*each)
		r.Destroy()
	}
	b.ReportMetric(float64(bare.Milliseconds())/float64(b.N), "bare-ms")
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "registry-ms")
	b.ReportMetric(float64(ours)/float64(bare), "ratio")
}
