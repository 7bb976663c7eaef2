// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestAListenerThatNamesNoCategoryIsToldOfProvidersOnly(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	testkit.Put(t, etcd.Client(), entry("configurators", anOverride("timeout=5")), "")
	testkit.Put(t, etcd.Client(), entry("routers", "route://0.0.0.0/org.a.Greeter?category=routers&rule=x"), "")
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	testkit.Put(t, etcd.Client(), entry("configurators", anOverride("timeout=6")), "")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	l.RequireAddresses(t, "127.0.0.1:1")
	alls, singles := l.Counts()
	assert.Equal(t, 1, alls)
	assert.Len(t, singles, 1)
}

func TestOverridesAndRoutersAreToldAsTheyCome(t *testing.T) {
	t.Parallel()
	for category, forms := range map[string][]string{
		"configurators": {
			anOverride("timeout=5"),
			anOverride("timeout=6"),
			"override://10.0.0.1:20000/org.a.Greeter?category=configurators&weight=7",
			"override://shop@0.0.0.0/org.a.Greeter?category=configurators&application=shop&mock=force:return null",
			"absent://0.0.0.0/org.a.Greeter?category=configurators&timeout=5",
			"empty://0.0.0.0/org.a.Greeter?category=configurators",
		},
		"routers": {
			"route://0.0.0.0/org.a.Greeter?category=routers&dynamic=false&enabled=true&force=true&name=blue&priority=1&router=condition&rule=host = 10.0.0.1 => host = 10.0.0.2&runtime=false",
			"condition://0.0.0.0/org.a.Greeter?category=routers&dynamic=false&rule=" + url.QueryEscape("method = get* => host = 10.0.0.3"),
			"script://0.0.0.0/org.a.Greeter?category=routers&type=javascript",
			"empty://0.0.0.0/org.a.Greeter?category=routers",
		},
	} {
		t.Run(category, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			r := testkit.NewRegistry(t, etcd.Endpoint())
			one, several := &testkit.Listener{}, &testkit.Listener{}
			testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", category), one)
			testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "providers,configurators,routers"), several)
			for n, form := range forms {
				key := entry(category, form)
				testkit.Put(t, etcd.Client(), key, "")
				for _, l := range []*testkit.Listener{one, several} {
					require.True(t, testkit.Eventually(func() bool { return l.URLs()[key] != nil }), form)
					u := l.URLs()[key]
					protocol, _, _ := strings.Cut(form, "://")
					assert.Equal(t, protocol, u.Protocol)
					assert.Equal(t, category, u.GetParam("category", ""))
					if category == "routers" && n == 0 {
						assert.Equal(t, "host = 10.0.0.1 => host = 10.0.0.2", u.GetParam("rule", ""))
					}
				}
			}
			disabled := entry(category, "override://0.0.0.0/org.a.Greeter?enabled=false&category="+category)
			testkit.Put(t, etcd.Client(), disabled, "")
			late := &testkit.Listener{} // by one list
			testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "-consumers"), late)
			for i, form := range forms {
				key := entry(category, form)
				assert.NotNil(t, late.URLs()[key], form)
				testkit.Delete(t, etcd.Client(), key)
				for _, l := range []*testkit.Listener{one, several, late} {
					require.True(t, testkit.Eventually(func() bool { return l.URLs()[key] == nil }), form)
					require.Len(t, l.Addresses(), len(forms)-1-i)
				}
			}
			one.RequireNoFaults(t)
			several.RequireNoFaults(t)
		})
	}
}

func TestRoutersDoNotHarmADirectory(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	route := func(n int) string {
		return entry("routers", fmt.Sprintf("condition://0.0.0.0/org.a.Greeter?category=routers&rule=x&n=%d", n))
	}
	testkit.Put(t, etcd.Client(), route(0), "")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	d := follow(t, r, "category", "providers,configurators,routers")
	requireInvokers(t, d, "127.0.0.1:1")
	for n := 1; n < 40; n++ {
		testkit.Put(t, etcd.Client(), route(n), "")
	}
	testkit.Put(t, etcd.Client(), entry("configurators", anOverride("retries=5")), "")
	requireOffered(t, d, "retries", map[string]string{"1": "5"})
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireInvokers(t, d, "127.0.0.1:1", "127.0.0.1:2")
	testkit.Delete(t, etcd.Client(), route(1))
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	requireInvokers(t, d, "127.0.0.1:2")
}

// Provider, override and route of one number are put in one transaction, in
// place of those before.
func TestSeveralCategoriesBeginWithOneSnapshot(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	swap := func(ctx context.Context, n int) error {
		var ops []clientv3.Op
		for _, m := range []int{n - 1, n} {
			for category, form := range map[string]string{
				"providers": "tri://10.0.0.1:20000/org.a.Greeter?n=%d", "routers": "route://0.0.0.0/org.a.Greeter?n=%d", "configurators": "override://0.0.0.0/org.a.Greeter?n=%d",
			} {
				if key := entry(category, fmt.Sprintf(form, m)); m == n {
					ops = append(ops, clientv3.OpPut(key, ""))
				} else {
					ops = append(ops, clientv3.OpDelete(key))
				}
			}
		}
		_, err := etcd.Client().Txn(ctx).Then(ops...).Commit()
		return err
	}
	require.NoError(t, swap(t.Context(), 0))
	ctx, cancel := context.WithCancel(t.Context())
	var churn sync.WaitGroup
	churn.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			_ = swap(ctx, n)
		}
	})
	for _, category := range []string{"providers,configurators,routers", "-consumers", "*"} {
		for range 30 {
			r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
			l := &testkit.Listener{}
			require.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter", "category", category), l))
			numbers := map[string]bool{}
			for _, u := range l.URLs() {
				numbers[u.GetParam("n", "")] = true
			}
			assert.Len(t, l.URLs(), 3)
			assert.Len(t, numbers, 1, "what was never there together: %v", numbers)
			r.Destroy()
		}
	}
	cancel()
	churn.Wait()
}

func TestAReferenceDoesNotHearOfOtherConsumers(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	d := follow(t, r)
	testkit.RequireWatchers(t, etcd, 2)
	all := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "*"), all)
	testkit.RequireWatchers(t, etcd, 3)
	before := etcd.Metrics().Value("etcd_debugging_mvcc_events_total", nil)
	for i := range 20 {
		require.NoError(t, r.Register(testkit.Consumer("org.a.Greeter", "n", fmt.Sprint(i))))
	}
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	requireInvokers(t, d, "127.0.0.1:1")
	require.True(t, testkit.Eventually(func() bool { return len(all.Addresses()) == 21 }))
	// Of the interface's own key nobody hears.
	assert.EqualValues(t, 20+2, etcd.Metrics().Value("etcd_debugging_mvcc_events_total", nil)-before, "events sent")
	require.NoError(t, r.UnSubscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))
	testkit.RequireWatchers(t, etcd, 1+3) // and of its keys, but of one consumer for all
}
