// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// entry is the key of a URL of org.a.Greeter under a category.
func entry(category, raw string) string {
	return "/dubbo/org.a.Greeter/" + category + "/" + url.QueryEscape(raw)
}

// anOverride is a rule for everybody, as dubbo-admin writes it.
func anOverride(params string) string {
	return "override://0.0.0.0/org.a.Greeter?category=configurators&dynamic=false&enabled=true&" + params
}

// follow makes a directory that is told of changes.
func follow(t testing.TB, r registry.Registry, params ...string) directory.Directory {
	t.Helper()
	d := newDirectory(t, r, "org.a.Greeter", params...)
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))
	return d
}

// offered returns a parameter of the invokers that a directory offers, by their
// port.
func offered(d directory.Directory, name string) map[string]string {
	values := map[string]string{}
	for _, u := range testkit.Offered(d) {
		values[u.Port] = u.GetParam(name, "")
	}
	return values
}

// requireOffered waits until the invokers of a directory are those of these
// ports, with these values of a parameter.
func requireOffered(t testing.TB, d directory.Directory, name string, want map[string]string) {
	t.Helper()
	var got map[string]string
	require.True(t, testkit.Eventually(func() bool {
		got = offered(d, name)
		return maps.Equal(got, want)
	}), "the directory offers %s of %v, want %v", name, got, want)
}

func TestAnOverrideHoldsForTheInvokersOfAConsumerUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	first := entry("configurators", anOverride("timeout=1234"))
	testkit.Put(t, etcd.Client(), first, "")

	d := newDirectory(t, r, "org.a.Greeter", "timeout", "3s")
	assert.Equal(t, map[string]string{"1": "1234ms"}, offered(d, "timeout"), "before anything is subscribed, in the framework's notation")
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireOffered(t, d, "timeout", map[string]string{"1": "1234ms", "2": "1234ms"})
	second := entry("configurators", anOverride("timeout=777&loadbalance=roundrobin"))
	testkit.Put(t, etcd.Client(), second, "")
	requireOffered(t, d, "timeout", map[string]string{"1": "777ms", "2": "777ms"})
	requireOffered(t, d, "loadbalance", map[string]string{"1": "roundrobin", "2": "roundrobin"})
	testkit.Delete(t, etcd.Client(), second)
	requireOffered(t, d, "timeout", map[string]string{"1": "1234ms", "2": "1234ms"})
	requireOffered(t, d, "loadbalance", map[string]string{"1": "", "2": ""})
	testkit.Delete(t, etcd.Client(), first)
	requireOffered(t, d, "timeout", map[string]string{"1": "3s", "2": "3s"})

	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireOffered(t, d, "timeout", map[string]string{"1": "3s"})
}

// What dubbo-go compares with the provider, or does not know, is decided here.
func TestWhichOverridesAreForAConsumer(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1", "application", "shop", "zone", "east")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2", "application", "shop", "zone", "west")))
	d := follow(t, r, "timeout", "3s")
	const at = "override://"
	path := func(params string) string {
		return "/org.a.Greeter?category=configurators&dynamic=false&enabled=true&timeout=9&" + params
	}
	both, first, none := map[string]string{"1": "9ms", "2": "9ms"}, map[string]string{"1": "9ms", "2": "3s"}, map[string]string{"1": "3s", "2": "3s"}
	for i, tc := range []struct {
		rule string
		want map[string]string
	}{
		{at + "0.0.0.0" + path(""), both},
		{at + "0.0.0.0:0" + path(""), both},
		{at + "127.0.0.1:1" + path(""), first},
		{at + "0.0.0.0:1" + path(""), first},
		{at + "127.0.0.2:1" + path(""), none},
		{at + common.GetLocalIp() + path(""), both},
		{at + "10.99.99.99" + path(""), none},
		{at + "0.0.0.0" + path("application=test"), both}, // the consumer's, not the provider's
		{at + "0.0.0.0" + path("application=*"), both},
		{at + "0.0.0.0" + path("application=shop"), none},
		{at + "test@0.0.0.0" + path(""), both},
		{at + "shop@0.0.0.0" + path(""), none},
		{at + "0.0.0.0" + path("side=consumer"), both},
		{at + "0.0.0.0" + path("side=provider"), none},
		{at + "0.0.0.0" + path("~zone=east"), first},
		{at + "0.0.0.0" + path("~zone=*"), both},
		{at + "0.0.0.0" + path("providerAddresses=127.0.0.1:1"), first},
		{at + "0.0.0.0" + path("version=1.0.0"), none},
		{at + "0.0.0.0" + path("group=blue"), none},
		{at + "0.0.0.0/org.a.Greeter?category=configurators&enabled=false&timeout=9", none},
		{at + "0.0.0.0/org.a.Greeter?timeout=9", both},
		{at + "0.0.0.0/org.a.Greeter?timeout=9ms&dynamic=true", both},
		{"absent://0.0.0.0" + path(""), none},
		{"garbage://0.0.0.0" + path(""), none},
		{"empty://0.0.0.0" + path(""), none},
	} {
		key := entry("configurators", tc.rule)
		_, err := etcd.Client().Txn(t.Context()).Then(clientv3.OpPut(key, ""),
			clientv3.OpPut(entry("providers", fmt.Sprintf("tri://127.0.0.1:3/org.a.Greeter?interface=org.a.Greeter&timestamp=%d", i)), "")).Commit()
		require.NoError(t, err)
		want := maps.Clone(tc.want)
		want["3"] = "3s"
		if maps.Equal(tc.want, both) {
			want["3"] = "9ms"
		}
		requireOffered(t, d, "timeout", want)
		_, err = etcd.Client().Txn(t.Context()).Then(clientv3.OpDelete(key), clientv3.OpDelete(entry("providers", fmt.Sprintf("tri://127.0.0.1:3/org.a.Greeter?interface=org.a.Greeter&timestamp=%d", i)))).Commit()
		require.NoError(t, err)
		requireOffered(t, d, "timeout", none)
	}
}

func TestOverridesApplyInTheOrderOfJavaAndAnEmptyURLCancelsThem(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	d := follow(t, r, "timeout", "3s")
	one := entry("configurators", "override://127.0.0.1:1/org.a.Greeter?category=configurators&timeout=1")
	high := entry("configurators", anOverride("timeout=2&priority=2"))
	low := entry("configurators", anOverride("timeout=3&priority=1"))
	for _, rule := range []string{one, high, low} {
		testkit.Put(t, etcd.Client(), rule, "")
	}
	requireOffered(t, d, "timeout", map[string]string{"1": "1ms"})
	testkit.Delete(t, etcd.Client(), one)
	requireOffered(t, d, "timeout", map[string]string{"1": "2ms"})
	testkit.Delete(t, etcd.Client(), high)
	requireOffered(t, d, "timeout", map[string]string{"1": "3ms"})
	none := entry("configurators", "empty://0.0.0.0/org.a.Greeter?category=configurators")
	testkit.Put(t, etcd.Client(), none, "")
	requireOffered(t, d, "timeout", map[string]string{"1": "3s"})
	testkit.Delete(t, etcd.Client(), none)
	requireOffered(t, d, "timeout", map[string]string{"1": "3ms"})
}

func TestADisabledProviderIsNotOffered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2", "disabled", "true")))
	d := follow(t, r)
	requireInvokers(t, d, "127.0.0.1:1")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireInvokers(t, d, "127.0.0.1:1", "127.0.0.1:2")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1", "disabled", "true")))
	requireInvokers(t, d, "127.0.0.1:2")

	all := entry("configurators", anOverride("disabled=true"))
	testkit.Put(t, etcd.Client(), all, "")
	requireInvokers(t, d)
	one := entry("configurators", "override://127.0.0.1:1/org.a.Greeter?category=configurators&disabled=false")
	testkit.Put(t, etcd.Client(), one, "")
	requireInvokers(t, d, "127.0.0.1:1")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:3"))) // comes while they are disabled
	testkit.Delete(t, etcd.Client(), one)
	requireInvokers(t, d)
	testkit.Delete(t, etcd.Client(), all)
	requireInvokers(t, d, "127.0.0.1:2", "127.0.0.1:3")
}

func TestAConsumerLosesItsProvidersWhileOverridesStay(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	urls := []*common.URL{testkit.Provider("org.a.Greeter", "127.0.0.1:1"), testkit.Provider("org.a.Greeter", "127.0.0.1:2")}
	for _, u := range urls {
		require.NoError(t, r.Register(u))
	}
	rule := entry("configurators", anOverride("timeout=5"))
	testkit.Put(t, etcd.Client(), rule, "")
	d := follow(t, r, "timeout", "3s")
	requireOffered(t, d, "timeout", map[string]string{"1": "5ms", "2": "5ms"})
	for _, u := range urls {
		require.NoError(t, r.UnRegister(u))
	}
	requireInvokers(t, d)
	testkit.Put(t, etcd.Client(), entry("configurators", anOverride("retries=5")), "") // a list of nothing but rules
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Invokers(d)) == 0 }))
	testkit.Delete(t, etcd.Client(), rule)
	testkit.Put(t, etcd.Client(), entry("providers", "tri://127.0.0.1:3/org.a.Greeter?interface=org.a.Greeter&timestamp=1"), "")
	requireOffered(t, d, "retries", map[string]string{"3": "5"})
	requireOffered(t, d, "timeout", map[string]string{"3": "3s"})
}

func TestEmptyProtectionIsOfProvidersWhateverTheOverrides(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	writer := testkit.NewRegistry(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, etcd.Endpoint(), "enable-empty-protection", "true")
	u := testkit.Provider("org.a.Greeter", "127.0.0.1:1")
	require.NoError(t, writer.Register(u))
	d := follow(t, r, "timeout", "3s")
	several, single := &testkit.Listener{}, &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "providers,configurators"), several)
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), single)
	require.NoError(t, writer.UnRegister(u))
	rule := entry("configurators", anOverride("timeout=5"))
	testkit.Put(t, etcd.Client(), rule, "")
	requireOffered(t, d, "timeout", map[string]string{"1": "5ms"})
	several.RequireAddresses(t, "0.0.0.0:0", "127.0.0.1:1")
	testkit.Delete(t, etcd.Client(), rule)
	requireOffered(t, d, "timeout", map[string]string{"1": "3s"})
	several.RequireAddresses(t, "127.0.0.1:1")
	require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireInvokers(t, d, "127.0.0.1:2")
	several.RequireAddresses(t, "127.0.0.1:2")
	single.RequireAddresses(t, "127.0.0.1:2")
}

func TestTheOverridesOfThePageWork(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/governance.md")
	require.NoError(t, err)
	examples := regexp.MustCompile(`(?m)^etcdctl put '([^']+)' ''$`).FindAllSubmatch(page, -1)
	require.Len(t, examples, 3)
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	const service = "com.example.Greeter"
	for _, address := range []string{"10.0.0.6:20000", "10.0.0.7:20000", "10.0.0.8:20000"} {
		require.NoError(t, r.Register(testkit.ServiceURL(stubProtocol, service, address, "side", "provider", "weight", "100")))
	}
	d := newDirectoryOf(t, r, testkit.ServiceURL(stubProtocol, service, "", "application", "test", "timeout", "3s"))
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))
	requireInvokers(t, d, "10.0.0.6:20000", "10.0.0.7:20000", "10.0.0.8:20000")
	for _, example := range examples {
		testkit.Put(t, etcd.Client(), string(example[1]), "")
	}
	requireInvokers(t, d, "10.0.0.6:20000", "10.0.0.7:20000")
	weights := map[string]string{}
	for _, u := range testkit.Offered(d) {
		weights[u.Ip] = u.GetParam("weight", "")
		assert.Equal(t, "2500ms", u.GetParam("timeout", ""))
	}
	assert.Equal(t, map[string]string{"10.0.0.6": "100", "10.0.0.7": "200"}, weights)
	testkit.DeleteAll(t, etcd.Client(), "/dubbo/com.example.Greeter/configurators/")
	requireInvokers(t, d, "10.0.0.6:20000", "10.0.0.7:20000", "10.0.0.8:20000")
}
