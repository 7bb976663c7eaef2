// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// admin writes rules, by the registry of either language.
type admin struct {
	language string
	put      func(rule string)
	remove   func(rule string)
}

func admins(t *testing.T, v version, etcd *etcdtest.Server) []admin {
	t.Helper()
	java := startPeer(t, v, etcd.Endpoint())
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	of := func(rule string) *common.URL {
		u, err := common.NewURL(rule)
		require.NoError(t, err)
		return u
	}
	return []admin{
		{"Java", func(rule string) { java.do("register %s", rule) }, func(rule string) { java.do("unregister %s", rule) }},
		{"Go", func(rule string) { require.NoError(t, r.Register(of(rule))) }, func(rule string) { require.NoError(t, r.UnRegister(of(rule))) }},
	}
}

// override is one of Proto, for an address or 0.0.0.0.
func override(at, parameters string) string { return overrideOf(protoInterface, at, parameters) }

func overrideOf(service, at, parameters string) string {
	return fmt.Sprintf("override://%s/%s?category=configurators&dynamic=false&enabled=true&interface=%s&%s", at, service, service, parameters)
}

// registeredWith waits until the provider of Proto at an address is registered with
// a value of a parameter.
func registeredWith(t *testing.T, etcd *etcdtest.Server, at, name, value string) {
	t.Helper()
	serviceRegisteredWith(t, etcd, protoInterface, at, name, value)
}

func serviceRegisteredWith(t *testing.T, etcd *etcdtest.Server, service, at, name, value string) {
	t.Helper()
	prefix := "/dubbo/" + service + "/providers/"
	var seen []string
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		seen = nil
		for _, kv := range testkit.List(t, etcd.Client(), prefix).Kvs {
			raw, err := url.QueryUnescape(strings.TrimPrefix(string(kv.Key), prefix))
			require.NoError(t, err)
			u, err := url.Parse(raw)
			require.NoError(t, err)
			if portOf(u.Host) == portOf(at) { // Java registers a loopback address
				seen = append(seen, u.Query().Get(name))
			}
		}
		return len(seen) == 1 && seen[0] == value
	})
	require.True(t, ok, "%s of %s is %q, want %q", name, at, seen, value)
}

// Each admin puts overrides and takes them back, and consumers and providers in
// each language obey.
func TestOverridesOfEitherAreObeyedByBoth(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		sides := []side{goSide(), javaSide(v)}
		var consumers []*peer
		at := map[string]string{}
		for _, s := range sides {
			at[s.language] = address(t)
			s.start(t, "in"+s.language, s.registry(etcd.Endpoint()), "serve=tri://"+at[s.language]+"/"+protoInterface, "weight=100")
		}
		for _, s := range sides {
			consumers = append(consumers, s.start(t, "consumer", s.registry(etcd.Endpoint()), "refer=tri://any/"+protoInterface))
		}
		called := func(t *testing.T, by ...string) {
			t.Helper()
			for _, c := range consumers {
				requireCalls(t, c.in(t), 0, by...)
			}
		}
		called(t, "inGo@/", "inJava@/")
		for _, a := range admins(t, v, etcd) {
			for i, s := range sides {
				other := sides[1-i].language
				t.Run(a.language+"Disables"+s.language, func(t *testing.T) {
					rule := override(at[s.language], "disabled=true")
					a.put(rule)
					called(t, "in"+other+"@/")
					a.remove(rule)
					called(t, "inGo@/", "inJava@/")
				})
				t.Run(a.language+"Weighs"+s.language, func(t *testing.T) {
					rule := override(at[s.language], "weight=0")
					a.put(rule)
					registeredWith(t, etcd, at[s.language], "weight", "0")
					called(t, "in"+other+"@/")
					a.remove(rule)
					called(t, "inGo@/", "inJava@/")
				})
			}
			t.Run(a.language+"SetsATimeout", func(t *testing.T) {
				rule := override("0.0.0.0", "timeout=1")
				slow := override("0.0.0.0", "timeout=5000")
				a.put(rule)
				for _, s := range sides {
					registeredWith(t, etcd, at[s.language], "timeout", "1")
				}
				for _, c := range consumers {
					requireFailure(t, c.in(t), "slow 0 300")
				}
				a.remove(rule)
				a.put(slow)
				for _, c := range consumers {
					requireSuccess(t, c.in(t), "slow 0 300")
				}
				a.remove(slow)
			})
			t.Run(a.language+"PutsARoute", func(t *testing.T) {
				route := "route://0.0.0.0/" + protoInterface + "?category=routers&dynamic=false&enabled=true&force=true&name=r&priority=1&router=condition&rule=" +
					url.QueryEscape(url.QueryEscape("=> host != 127.0.0.1"))
				a.put(route)
				called(t, "inGo@/", "inJava@/") // of neither language is there a router any more that reads it
				a.remove(route)
			})
		}
	})
}

// A provider of the dubbo protocol is exported again for an override, and served as
// before.
func TestProvidersOfTheDubboProtocolAreServedAfterAnOverride(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		bothWays(t, v, func(t *testing.T, provider, consumer side) {
			etcd := etcdtest.Start(t)
			at := address(t)
			provider.start(t, "provider", provider.registry(etcd.Endpoint()), "serve=dubbo://"+at+"/"+plainInterface)
			c := consumer.start(t, "consumer", consumer.registry(etcd.Endpoint()), referPlain)
			requireCalls(t, c, 0, "provider@/")
			r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
			rule, err := common.NewURL(overrideOf(plainInterface, at, "timeout=2500"))
			require.NoError(t, err)
			require.NoError(t, r.Register(rule))
			serviceRegisteredWith(t, etcd, plainInterface, at, "timeout", "2500")
			requireCalls(t, c, 0, "provider@/")
			require.NoError(t, r.UnRegister(rule))
			serviceRegisteredWith(t, etcd, plainInterface, at, "timeout", "")
			requireCalls(t, c, 0, "provider@/")
		})
	})
}

func requireFailure(t *testing.T, p *peer, command string) {
	t.Helper()
	testkit.Await(t, testkit.LongPatience, func() bool { _, err := p.ask("%s", command); return err != nil }, "%s is to fail in %s", command, p.name)
}

func requireSuccess(t *testing.T, p *peer, command string) {
	t.Helper()
	testkit.Await(t, testkit.LongPatience, func() bool { _, err := p.ask("%s", command); return err == nil }, "%s is to succeed in %s", command, p.name)
}
