// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// startPeer starts a process that uses Java's extensions by their own APIs.
func startPeer(t *testing.T, v version, etcd string, args ...string) *peer {
	t.Helper()
	return startClass(t, v, "Peer", "peer", append([]string{"etcd=" + etcd}, args...)...)
}

// known returns what a subscription of Java's registry knows of a category.
func (p *peer) known(subscription, category string) (urls []string) {
	p.t.Helper()
	for encoded := range strings.FieldsSeq(p.do("known %s %s", subscription, category)) {
		u, err := url.QueryUnescape(encoded)
		require.NoError(p.t, err)
		urls = append(urls, u)
	}
	return urls
}

// requireKnown waits until a subscription knows exactly these addresses.
func (p *peer) requireKnown(subscription, category string, want ...string) {
	p.t.Helper()
	var seen []string
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		seen = nil
		for _, raw := range p.known(subscription, category) {
			u, err := url.Parse(raw)
			require.NoError(p.t, err)
			seen = append(seen, u.Host)
		}
		slices.Sort(seen)
		return slices.Equal(seen, want)
	})
	require.True(p.t, ok, "Java knows %v, want %v", seen, want)
}

const javaSubscription = "consumer://127.0.0.1/org.a.Greeter?application=peer&interface=org.a.Greeter&category=providers,configurators,routers&side=consumer"

func providerKeys(t *testing.T, etcd *etcdtest.Server) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(testkit.Values(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")))
}

func TestJavaAndGoFindEachOtherAndWriteTheSameKeys(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint())
		subscription := java.do("subscribe %s", javaSubscription)

		r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

		// Every character that Java's URLEncoder and Go's QueryEscape differ in.
		const strange = "a b*c+d~e/é"
		ofJava := "tri://127.0.0.1:20001/org.a.Greeter?anyhost=true&interface=org.a.Greeter&methods=Greet,Part&registry.role=3&side=provider&strange=" + strange + "&timestamp=1700000000&token=" + testkit.Token
		java.do("register %s", ofJava)
		l.RequireAddresses(t, "127.0.0.1:20001")
		for _, u := range l.URLs() {
			assert.Equal(t, strange, u.GetParam("strange", ""))
		}
		written := providerKeys(t, etcd)
		require.Len(t, written, 1)

		ofGo := func(port int) *common.URL {
			u := testkit.Provider("org.a.Greeter", "127.0.0.1:"+strconv.Itoa(port), "strange", strange)
			u.Methods = append(u.Methods, "Part")
			return u
		}
		require.NoError(t, r.Register(ofGo(20001)))
		assert.Equal(t, written, providerKeys(t, etcd), "the same URL is the same key")
		require.NoError(t, r.Register(ofGo(20002)))
		java.requireKnown(subscription, "providers", "127.0.0.1:20001", "127.0.0.1:20002")
		l.RequireAddresses(t, "127.0.0.1:20001", "127.0.0.1:20002")

		require.NoError(t, r.UnRegister(ofGo(20002)))
		java.requireKnown(subscription, "providers", "127.0.0.1:20001")
		java.do("unregister %s", ofJava)
		java.requireKnown(subscription, "providers")
		l.RequireAddresses(t)
	})
}

func TestJavaAndGoReadEachOthersInstances(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint())
		java.do("publish tri://127.0.0.1:20001/greeter")

		d := testkit.NewDiscovery(t, etcd.Endpoint(), "file-cache", "false")
		found := d.GetInstances("greeter")
		require.Len(t, found, 1)
		assert.Equal(t, "127.0.0.1:20001", found[0].GetAddress())
		assert.Equal(t, "greeter", found[0].GetServiceName())
		assert.Equal(t, "java", found[0].GetMetadata()["by"])
		assert.False(t, found[0].IsEnable())
		assert.True(t, found[0].IsHealthy())

		require.NoError(t, d.Register(&registry.DefaultServiceInstance{ServiceName: "greeter", Host: "127.0.0.1", Port: 20002,
			Enable: true, Metadata: map[string]string{"by": "go"}}))
		assert.Equal(t, "greeter@127.0.0.1:20001/enabled=false/healthy=true/{by=java} greeter@127.0.0.1:20002/enabled=true/healthy=false/{by=go}",
			java.do("instances greeter"))
	})
}

// everything is what dubbo-admin subscribes with.
const everything = "admin://127.0.0.1?category=providers,consumers,routers,configurators&check=false&classifier=*&enabled=*&group=*&interface=*&version=*"

// services returns the interfaces of URLs, each once.
func services(t *testing.T, urls []string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, raw := range urls {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		found[strings.TrimPrefix(u.Path, "/")] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestAdminsSeeAllServicesPresentAndFuture(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint())
		r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
		ofJava := func(service, port string) string {
			return "dubbo://127.0.0.1:" + port + "/" + service + "?interface=" + service + "&side=provider&methods=greet"
		}
		require.NoError(t, r.Register(testkit.Provider("org.go.Present", "127.0.0.1:20001")))
		java.do("register %s", ofJava("org.java.Present", "20002"))

		ofJavas := java.do("subscribe %s", everything)
		l := &testkit.Listener{}
		u, err := common.NewURL(everything)
		require.NoError(t, err)
		testkit.Subscribe(t, r, u, l)
		require.NoError(t, r.Register(testkit.Provider("org.go.Future", "127.0.0.1:20003")))
		java.do("register %s", ofJava("org.java.Future", "20004"))
		java.do("register override://0.0.0.0/org.go.Present?category=configurators&dynamic=false&enabled=true&timeout=2500")

		all := []string{"127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20003", "127.0.0.1:20004"}
		java.requireKnown(ofJavas, "providers", all...)
		assert.Equal(t, []string{"org.go.Future", "org.go.Present", "org.java.Future", "org.java.Present"}, services(t, java.known(ofJavas, "providers")))
		java.requireKnown(ofJavas, "configurators", "0.0.0.0")
		l.RequireAddresses(t, append([]string{"0.0.0.0:0"}, all...)...)

		require.NoError(t, r.UnRegister(testkit.Provider("org.go.Future", "127.0.0.1:20003")))
		java.do("unregister %s", ofJava("org.java.Present", "20002"))
		left := []string{"127.0.0.1:20001", "127.0.0.1:20004"}
		java.requireKnown(ofJavas, "providers", left...)
		l.RequireAddresses(t, append([]string{"0.0.0.0:0"}, left...)...)
	})
}
