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
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// requireSaved waits until the cache file has, or has not, what is wanted.
func requireSaved(t testing.TB, path string, has func(content string) bool) {
	t.Helper()
	var content []byte
	require.True(t, eventually(func() bool {
		content, _ = os.ReadFile(path)
		return has(string(content))
	}), "the cache file has:\n%s", content)
}

func TestAConsumerThatStartsWithoutEtcdIsServedFromTheCacheAndThenMended(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "sub", "registry.cache")
	first := newRegistry(t, etcd.Endpoint(), "file", file)
	for _, port := range []string{"1", "2", "3"} {
		require.NoError(t, first.Register(provider("org.a.Greeter", "10.0.0.1:"+port, "version", "1.0.0", "group", "g")))
	}
	loadAndSubscribe(t, first, consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), newListener())
	requireSaved(t, file, func(s string) bool { return strings.Count(s, "tri") == 3 })
	first.Destroy()
	etcd.Kill()

	second := newRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "1s")
	l := newListener()
	begin := time.Now()
	require.NoError(t, second.LoadSubscribeInstances(consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), l))
	t.Logf("served from the cache after %v", time.Since(begin))
	require.NoError(t, second.Subscribe(consumer("org.a.Greeter", "version", "1.0.0", "group", "g"), l))
	l.requireAddresses(t, "10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3")
	other := newListener()
	loadAndSubscribe(t, second, consumer("org.a.Greeter", "version", "2.0.0", "group", "g"), other)
	other.requireAddresses(t)

	etcd.Start()
	_, err := etcd.Client().Delete(t.Context(), "", withPrefix)
	require.NoError(t, err)
	another := newRegistry(t, etcd.Endpoint(), "file-cache", "false")
	require.NoError(t, another.Register(provider("org.a.Greeter", "10.0.0.1:2", "version", "1.0.0", "group", "g")))
	require.NoError(t, another.Register(provider("org.a.Greeter", "10.0.0.1:4", "version", "1.0.0", "group", "g")))
	l.requireAddresses(t, "10.0.0.1:2", "10.0.0.1:4")
	requireSaved(t, file, func(s string) bool { return strings.Count(s, "tri") == 2 && strings.Contains(s, "10.0.0.1\\:4") })
}

func TestSubscribingAloneIsServedFromTheCacheToo(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	first := newRegistry(t, etcd.Endpoint(), "file", file, "save.file", "true")
	require.NoError(t, first.Register(provider("org.a.Greeter", "10.0.0.1:1")))
	l := newListener()
	require.NoError(t, first.Subscribe(consumer("org.a.Greeter"), l))
	l.requireAddresses(t, "10.0.0.1:1")
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1\\:1") })
	first.Destroy()
	etcd.Kill()

	second := newRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "500ms")
	again := newListener()
	require.NoError(t, second.Subscribe(consumer("org.a.Greeter"), again))
	again.requireAddresses(t, "10.0.0.1:1")
}

func TestTheCacheFileIsWhereJavaHasIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:1")))
	loadAndSubscribe(t, r, consumer("org.a.Greeter", "application", "shop"), newListener())
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
	r := newRegistry(t, etcd.Endpoint(), "file", file)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:1")))
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1") })
	require.NoError(t, r.UnRegister(provider("org.a.Greeter", "10.0.0.1:1")))
	requireSaved(t, file, func(s string) bool {
		return strings.Contains(s, "org.a.Greeter") && !strings.Contains(s, "10.0.0.1")
	})
}

func TestFileCacheFalseSavesAndReadsNothing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	require.NoError(t, os.WriteFile(file, []byte("org.a.Greeter=tri\\://10.0.0.9\\:1/org.a.Greeter?interface\\=org.a.Greeter\n"), 0o600))
	r := newRegistry(t, etcd.Endpoint(), "file", file, "file-cache", "false")
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:1")))
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	l.requireAddresses(t, "10.0.0.1:1")
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
			r := newRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "300ms")
			l := newListener()
			loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
			etcd.Start()
			require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:7")))
			l.requireAddresses(t, "10.0.0.1:7")
			requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.1\\:7") })
		})
	}
}

func TestOverridesAndProvidersOfOneServiceShareItsEntryInTheCache(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	override := "/dubbo/org.a.Greeter/configurators/" + url.QueryEscape("override://0.0.0.0/org.a.Greeter?timeout=77") // names no category
	_, err := etcd.Client().Put(t.Context(), override, "")
	require.NoError(t, err)
	r := newRegistry(t, etcd.Endpoint(), "file", file)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:1", "note", "with space")))
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), newListener())
	loadAndSubscribe(t, r, consumer("org.a.Greeter", "category", "configurators"), newListener())
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "override") && strings.Contains(s, "10.0.0.1") })
	r.Destroy()
	etcd.Kill()

	again := newRegistry(t, etcd.Endpoint(), "file", file, "registry.timeout", "300ms")
	providers, configurators := newListener(), newListener()
	loadAndSubscribe(t, again, consumer("org.a.Greeter"), providers)
	loadAndSubscribe(t, again, consumer("org.a.Greeter", "category", "configurators"), configurators)
	providers.requireAddresses(t, "10.0.0.1:1")
	configurators.requireAddresses(t, "0.0.0.0:0")
	for _, u := range configurators.urls {
		assert.Equal(t, "77", u.GetParam("timeout", ""))
	}
	for _, u := range providers.urls {
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
			r := newRegistry(t, address(t), "registry.timeout", timeout.String())
			begin := time.Now()
			for i := range 100 {
				service := fmt.Sprintf("org.a.Service%d", i)
				require.NoError(t, r.Register(provider(service, "10.0.0.1:1")))
				loadAndSubscribe(t, r, consumer(service), newListener())
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
	writer := newRegistry(t, etcd.Endpoint())
	protected := newRegistry(t, etcd.Endpoint(), "enable-empty-protection", "true")
	kept, plain := newListener(), newListener()
	urls := []*common.URL{provider("org.a.Greeter", "10.0.0.1:1"), provider("org.a.Greeter", "10.0.0.1:2")}
	for _, u := range urls {
		require.NoError(t, writer.Register(u))
	}
	loadAndSubscribe(t, protected, consumer("org.a.Greeter"), kept)
	loadAndSubscribe(t, writer, consumer("org.a.Greeter"), plain)
	for _, u := range urls {
		require.NoError(t, writer.UnRegister(u))
	}
	plain.requireAddresses(t)
	assert.NotEmpty(t, kept.addresses())
	require.NoError(t, writer.Register(provider("org.a.Greeter", "10.0.0.1:3")))
	kept.requireAddresses(t, "10.0.0.1:3")
	plain.requireAddresses(t, "10.0.0.1:3")
	require.NoError(t, writer.Register(urls[0]))
	kept.requireAddresses(t, "10.0.0.1:1", "10.0.0.1:3")
	require.NoError(t, writer.UnRegister(urls[0]))
	kept.requireAddresses(t, "10.0.0.1:3")
}
