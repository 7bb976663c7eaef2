// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// plain is greet with the dubbo protocol.
var plain = service{Interface: greet.Interface, Protocol: hessian}

// bilingual has a provider serve greet with either protocol, each at a port of
// its own.
func bilingual(t *testing.T, s spec) spec {
	s.Services = []service{greet, plain}
	s.Also = []endpoint{{Protocol: hessian, Address: address(t)}}
	return s
}

func TestApplicationIsCalledWithEachOfItsProtocols(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, greet, plain))
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{bilingual(t, application(provider(t, etcd, "a", long)))}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		both := []service{greet, plain}
		awaitView(t, c, of(both, ps...))
		c.reset()
		b := start(t, bilingual(t, instance(t, etcd, "b", "a", long)))
		awaitView(t, c, of(both, ps[0], b))
		d := start(t, instance(t, etcd, "d", "a", long)) // Triple only
		all := view{greet: {ps[0], b, d}, plain: {ps[0], b}}
		awaitView(t, c, all)
		requireNoFailure(t, c)
		ps[0].terminate()
		ps[0].awaitEnd()
		all = view{greet: {b, d}, plain: {b}}
		awaitView(t, c, all)
		requireView(t, c, all)
	})
}

// The protocols are of two applications.
func TestApplicationsOfDifferentProtocolsAreCalledApart(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, greet, plain))
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		old := application(provider(t, etcd, "old", long, plain))
		old.Address, old.Also = "", []endpoint{{Protocol: hessian, Address: old.Address}}
		return []spec{old, application(provider(t, etcd, "new", long))}
	}, func(t *testing.T, _ *etcdtest.Server, c *process, ps []*process) {
		all := view{plain: ps[:1], greet: ps[1:]}
		awaitView(t, c, all)
		requireView(t, c, all)
	})
}

// When dubbo-go exports a service of the dubbo protocol again, for an override of
// the config center, it forgets who serves it.
func TestADubboServiceIsServedAfterAnOverrideOfTheConfigCenter(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	s := governed(etcd, provider(t, etcd, "old", long, plain))
	s.Address, s.Also = "", []endpoint{{Protocol: hessian, Address: s.Address}}
	old := start(t, s)
	calling := start(t, consumer(etcd, long, plain))
	awaitCalls(t, calling, plain, old)
	rule := tagging("old", "", "2500")
	for _, c := range []struct{ timeout, rule string }{
		{"2500", rule},
		{"2600", strings.NewReplacer("2500", "2600", `addresses: ["0.0.0.0:0"]`, "addresses: []").Replace(rule)},
		{"", ""},
	} {
		putRule(t, etcd, "old.configurators", c.rule)
		eventually(t, func() string { return "no timeout=" + c.timeout }, func() bool {
			ks := keys(t, etcd, providersOf(plain))
			return len(ks) == 1 && ks[0].param("timeout") == c.timeout
		})
		calling.reset() // while it is exported again dubbo-go refuses calls
		awaitCalls(t, calling, plain, old)
	}
}

// A client of dubbo connects when it is told of a provider. The framework leaves out whom
// it cannot connect to at that moment, and does not try again by itself.
func TestADubboProviderThatCouldNotBeReachedIsCalledWhenItCan(t *testing.T) {
	t.Parallel()
	its, etcd := etcdtest.Start(t), etcdtest.Start(t)
	s := provider(t, its, "behind", long, plain)
	s.Address, s.Also = "", []endpoint{{Protocol: hessian, Address: s.Address}}
	behind := start(t, s)
	registered := awaitKeys(t, its, providersOf(plain), 1)[0]
	proxy := etcdtest.NewProxy(t, registered.url.Host)
	proxy.Cut()
	testkit.Put(t, etcd.Client(), strings.ReplaceAll(registered.name, url.QueryEscape(registered.url.Host), url.QueryEscape(proxy.Addr())), "")
	c := start(t, consumer(etcd, long, plain))
	awaitKeys(t, etcd, consumersOf(plain), 1)
	proxy.Restore()
	awaitCalls(t, c, plain, behind)

	proxy.Cut() // it is not told that he is gone: the client connects again by itself
	proxy.Restore()
	c.reset()
	awaitCalls(t, c, plain, behind)
}
