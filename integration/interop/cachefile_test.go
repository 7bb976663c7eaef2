// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// loaded returns what java.util.Properties reads in a file.
func (p *peer) loaded(file string) map[string]string {
	p.t.Helper()
	properties := map[string]string{}
	for encoded := range strings.FieldsSeq(p.do("load %s", file)) {
		decoded, err := url.QueryUnescape(encoded)
		require.NoError(p.t, err)
		key, value, _ := strings.Cut(decoded, "=")
		properties[key] = value
	}
	return properties
}

// startOffline starts a peer that has a cache file and no etcd.
func startOffline(t *testing.T, v version, file string) *peer {
	t.Helper()
	return startPeer(t, v, address(t), "parameters=check=false&session=2000&file="+file, "property=etcd.request.timeout=1000")
}

const strangeURL = "tri://127.0.0.1:20001/org.a.Greeter?interface=org.a.Greeter&methods=greet&side=provider&strange=" + strangeValue

// strangeValue has what properties escape.
const strangeValue = `é!\d:c`

func TestTheCacheFileOfOursIsReadByJava(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		file := filepath.Join(t.TempDir(), "our.cache")
		etcd := etcdtest.Start(t)
		r, err := testkit.OpenRegistry(etcd.Endpoint(), "file", file)
		require.NoError(t, err)
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:20001", "strange", strangeValue)))
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		l.RequireAddresses(t, "127.0.0.1:20001")
		r.Destroy()

		java := startOffline(t, v, file)
		properties := java.loaded(file)
		require.Contains(t, properties, "org.a.Greeter")
		assert.Contains(t, properties["org.a.Greeter"], "127.0.0.1:20001")
		java.requireKnown(java.do("subscribe %s", javaSubscription), "providers", "127.0.0.1:20001")
	})
}

func TestTheCacheFileOfJavaIsReadByOurs(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		file := filepath.Join(t.TempDir(), "java.cache")
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint(), "parameters=save.file=true&file="+file)
		java.do("register %s", strangeURL)
		java.requireKnown(java.do("subscribe %s", javaSubscription), "providers", "127.0.0.1:20001")
		testkit.Await(t, testkit.LongPatience, func() bool {
			content, _ := os.ReadFile(file)
			return strings.Contains(string(content), "20001")
		}, "Java saves its cache file")

		r := testkit.NewRegistry(t, address(t), "file", file, "registry.timeout", "1s")
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		l.RequireAddresses(t, "127.0.0.1:20001")
		for _, u := range l.URLs() {
			assert.Equal(t, strangeValue, u.GetParam("strange", ""))
		}
	})
}

// Each saves what it knows again and again, to one file.
func TestOneCacheFileOfBothStaysReadable(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		file := filepath.Join(t.TempDir(), "shared.cache")
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint(), "parameters=save.file=true&file="+file)
		subscription := java.do("subscribe %s", javaSubscription)
		r, err := testkit.OpenRegistry(etcd.Endpoint(), "file", file, "save.file", "true")
		require.NoError(t, err)
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		for range 20 {
			for _, at := range []string{"127.0.0.1:20001", "127.0.0.1:20002"} {
				require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", at)))
				java.requireKnown(subscription, "providers", at)
				l.RequireAddresses(t, at)
				require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", at)))
			}
		}
		java.do("register tri://127.0.0.1:20003/org.a.Greeter?interface=org.a.Greeter&side=provider")
		l.RequireAddresses(t, "127.0.0.1:20003")
		java.requireKnown(subscription, "providers", "127.0.0.1:20003")
		r.Destroy()
		assert.Contains(t, java.loaded(file)["org.a.Greeter"], "127.0.0.1:2000")

		again := testkit.NewRegistry(t, address(t), "file", file, "registry.timeout", "1s")
		kept := &testkit.Listener{}
		testkit.Subscribe(t, again, testkit.Consumer("org.a.Greeter"), kept)
		kept.RequireAddresses(t, "127.0.0.1:20003")
	})
}
