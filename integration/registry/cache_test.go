// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// requireSaved waits until the cache file has, or has not, what is wanted.
func requireSaved(t testing.TB, path string, has func(content string) bool) {
	t.Helper()
	var content []byte
	require.True(t, testkit.Eventually(func() bool {
		content, _ = os.ReadFile(path)
		return has(string(content))
	}), "the cache file has:\n%s", content)
}

func TestAConsumerThatStartsWithoutEtcdIsServedFromTheCacheAndThenMended(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "sub", "registry.cache")
	first := testkit.NewRegistry(t, etcd.Endpoint(), "file", file)
	for _, port := range []string{"1", "2", "3"} {
		require.NoError(t, first.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:"+port, "version", "1.0.0", "group", "g")))
	}
	testkit.Subscribe(t, first, testkit.Consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), &testkit.Listener{})
	requireSaved(t, file, func(s string) bool { return strings.Count(s, "tri") == 3 })
	first.Destroy()
	etcd.Kill()

	second := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "1s")
	l := &testkit.Listener{}
	begin := time.Now()
	require.NoError(t, second.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), l))
	t.Logf("served from the cache after %v", time.Since(begin))
	require.NoError(t, second.Subscribe(testkit.Consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), l))
	l.RequireAddresses(t, "10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3")
	other := &testkit.Listener{}
	testkit.Subscribe(t, second, testkit.Consumer("org.a.Greeter", "version", "2.0.0", "group", "g"), other)
	other.RequireAddresses(t)

	etcd.Start()
	testkit.DeleteAll(t, etcd.Client(), "")
	another := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	require.NoError(t, another.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:2", "version", "1.0.0", "group", "g")))
	require.NoError(t, another.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:4", "version", "1.0.0", "group", "g")))
	l.RequireAddresses(t, "10.0.0.1:2", "10.0.0.1:4")
	requireSaved(t, file, func(s string) bool { return strings.Count(s, "tri") == 2 && strings.Contains(s, "10.0.0.1\\:4") })
}

func TestSubscribingAloneIsServedFromTheCacheToo(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	first := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "save.file", "true")
	require.NoError(t, first.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	l := &testkit.Listener{}
	require.NoError(t, first.Subscribe(testkit.Consumer("org.a.Greeter"), l))
	l.RequireAddresses(t, "10.0.0.1:1")
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1\\:1") })
	first.Destroy()
	etcd.Kill()

	second := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "500ms")
	again := &testkit.Listener{}
	require.NoError(t, second.Subscribe(testkit.Consumer("org.a.Greeter"), again))
	again.RequireAddresses(t, "10.0.0.1:1")
}

func TestTheCacheFileIsWhereJavaHasIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "application", "shop"), &testkit.Listener{})
	path := filepath.Join(os.Getenv("HOME"), ".dubbo", "dubbo-registry-shop-"+strings.ReplaceAll(etcd.Endpoint(), ":", "-")+".cache")
	requireSaved(t, path, func(s string) bool {
		return strings.Contains(s, `org.a.Greeter=tri\://10.0.0.1\:1/org.a.Greeter?`)
	})
	for p, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), p)
	}
}

func TestAnEmptyListThatEtcdConfirmedIsSaved(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1") })
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	requireSaved(t, file, func(s string) bool {
		return strings.Contains(s, "org.a.Greeter") && !strings.Contains(s, "10.0.0.1")
	})
}

func TestFileCacheFalseSavesAndReadsNothing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	require.NoError(t, os.WriteFile(file, []byte("org.a.Greeter=tri\\://10.0.0.9\\:1/org.a.Greeter?interface\\=org.a.Greeter\n"), 0o600))
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "file-cache", "false")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	l.RequireAddresses(t, "10.0.0.1:1")
	r.Destroy()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(content), "10.0.0.9")
	assert.NotContains(t, string(content), "10.0.0.1:1")
}

func TestADamagedCacheFileIsNoError(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"binary":    "\x00\x01\xff\xfe=\\u12",
		"truncated": "org.a.Greeter=tri\\://10.0.0.1\\:1/org.a.Gre",
		"foreign":   "{\"json\": true}",
		"garbage":   "org.a.Greeter=not a url at all %zz ://",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "registry.cache")
			require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
			etcd := etcdtest.Reserve(t)
			r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "300ms")
			l := &testkit.Listener{}
			testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
			etcd.Start()
			require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:7")))
			l.RequireAddresses(t, "10.0.0.1:7")
			requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1\\:7") })
		})
	}
}

func TestOverridesAndProvidersOfOneServiceShareItsEntryInTheCache(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	override := "/dubbo/org.a.Greeter/configurators/" + url.QueryEscape("override://0.0.0.0/org.a.Greeter?timeout=77") // names no category
	testkit.Put(t, etcd.Client(), override, "")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1", "note", "with space")))
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), &testkit.Listener{})
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "configurators"), &testkit.Listener{})
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "override") && strings.Contains(s, "10.0.0.1") })
	r.Destroy()
	etcd.Kill()

	again := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "300ms")
	providers, configurators := &testkit.Listener{}, &testkit.Listener{}
	testkit.Subscribe(t, again, testkit.Consumer("org.a.Greeter"), providers)
	testkit.Subscribe(t, again, testkit.Consumer("org.a.Greeter", "category", "configurators"), configurators)
	providers.RequireAddresses(t, "10.0.0.1:1")
	configurators.RequireAddresses(t, "0.0.0.0:0")
	for _, u := range configurators.URLs() {
		assert.Equal(t, "77", u.GetParam("timeout", ""))
	}
	for _, u := range providers.URLs() {
		assert.Equal(t, "with space", u.GetParam("note", ""))
	}
}

func TestTheWholeWaitForAnAbsentEtcdIsOneTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	for name, address := range map[string]func(t *testing.T) string{
		"that refuses connections": func(t *testing.T) string { return etcdtest.Reserve(t).Endpoint() },
		"that accepts them and says nothing": func(t *testing.T) string {
			proxy := etcdtest.NewProxy(t, etcdtest.Start(t).Endpoint())
			proxy.Freeze()
			return proxy.Addr()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.NewRegistry(t, address(t), "registry.timeout", timeout.String())
			begin := time.Now()
			for i := range 100 {
				service := fmt.Sprintf("org.a.Service%d", i)
				require.NoError(t, r.Register(testkit.Provider(service, "10.0.0.1:1")))
				testkit.Subscribe(t, r, testkit.Consumer(service), &testkit.Listener{})
			}
			// It is the sum of two hundred waits that must not add up: a bound that
			// no noise of the machine reaches.
			took := time.Since(begin)
			t.Logf("100 services and 100 references took %v, a timeout is %v", took, timeout)
			assert.Less(t, took, 5*timeout)
		})
	}
}

func TestEmptyProtectionKeepsTheLastProvidersUntilThereAreSomeAgain(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	writer := testkit.NewRegistry(t, etcd.Endpoint())
	protected := testkit.NewRegistry(t, etcd.Endpoint(), "enable-empty-protection", "true")
	kept, plain := &testkit.Listener{}, &testkit.Listener{}
	urls := []*common.URL{testkit.Provider("org.a.Greeter", "10.0.0.1:1"), testkit.Provider("org.a.Greeter", "10.0.0.1:2")}
	for _, u := range urls {
		require.NoError(t, writer.Register(u))
	}
	testkit.Subscribe(t, protected, testkit.Consumer("org.a.Greeter"), kept)
	testkit.Subscribe(t, writer, testkit.Consumer("org.a.Greeter"), plain)
	for _, u := range urls {
		require.NoError(t, writer.UnRegister(u))
	}
	plain.RequireAddresses(t)
	assert.NotEmpty(t, kept.Addresses())
	require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:3")))
	kept.RequireAddresses(t, "10.0.0.1:3")
	plain.RequireAddresses(t, "10.0.0.1:3")
	require.NoError(t, writer.Register(urls[0]))
	kept.RequireAddresses(t, "10.0.0.1:1", "10.0.0.1:3")
	require.NoError(t, writer.UnRegister(urls[0]))
	kept.RequireAddresses(t, "10.0.0.1:3")
}

// What one subscription has heard of is not all that the file is about: another
// one of the same service, of the overrides, say, may hear of its own first.
func TestTheCacheLosesNothingToASubscriptionThatIsAboutSomethingElse(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	keeper := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false", "session", "10m")
	require.NoError(t, keeper.Register(testkit.Provider("org.a.D", "10.0.0.1:1")))
	etcd.Stop()
	etcd.Start()
	// run is a process that consumes D; then is what happens before it ends.
	run := func(then func(registry.Registry)) {
		r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "500ms")
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.D"), l)
		l.RequireAddresses(t, "10.0.0.1:1")
		then(r)
		r.Destroy()
	}
	run(func(registry.Registry) {})
	etcd.Kill()
	run(func(r registry.Registry) {
		etcd.Start()
		overrides := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.D", "category", "configurators"), overrides)
		require.True(t, testkit.Eventually(func() bool { alls, _ := overrides.Counts(); return alls > 0 }))
		time.Sleep(1500 * time.Millisecond) // it would be saved
	})
	etcd.Kill()
	run(func(registry.Registry) {})
}
