// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// What an operator or dubbo-admin puts into the config center. Dubbo for Java
// has its rules under the same keys.
const rulesOf = "/dubbo/config/dubbo/"

func putRule(t *testing.T, etcd *etcdtest.Server, key, rule string) {
	t.Helper()
	testkit.Put(t, etcd.Client(), rulesOf+key, rule)
}

func deleteRule(t *testing.T, etcd *etcdtest.Server, key string) {
	t.Helper()
	testkit.Delete(t, etcd.Client(), rulesOf+key)
}

// governed has a process use etcd as its config center, too.
func governed(etcd *etcdtest.Server, s spec) spec {
	s.ConfigCenter = etcd.Endpoint()
	return s
}

// tagRule takes addresses out of what is called without a tag.
func tagRule(application string, addresses ...string) string {
	return fmt.Sprintf("configVersion: v3.0\nforce: false\nenabled: true\nkey: %s\ntags:\n  - name: gray\n    addresses: [%q]\n",
		application, strings.Join(addresses, `", "`))
}

func TestTagRuleRoutesARunningConsumer(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	// A rule is of an application: both are instances of one.
	a, b := provider(t, etcd, "a", long), provider(t, etcd, "b", long)
	a.Application, b.Application = "shop", "shop"
	pa, pb := start(t, a), start(t, b)
	c := start(t, governed(etcd, consumer(etcd, long)))
	awaitCalls(t, c, greet, pa, pb)

	putRule(t, etcd, "shop.tag-router", tagRule("shop", pb.Address))
	awaitCalls(t, c, greet, pa)
	putRule(t, etcd, "shop.tag-router", tagRule("shop", pa.Address))
	awaitCalls(t, c, greet, pb)

	// A rule stays while etcd is away, and what changed meanwhile is heard of.
	etcd.Kill()
	awaitCalls(t, c, greet, pb)
	etcd.Start()
	putRule(t, etcd, "shop.tag-router", tagRule("shop", pb.Address))
	awaitCalls(t, c, greet, pa)

	deleteRule(t, etcd, "shop.tag-router")
	awaitCalls(t, c, greet, pa, pb)
}

func conditionRule(s service, then string) string {
	return fmt.Sprintf("configVersion: v3.0\nscope: service\nforce: true\nruntime: true\nenabled: true\nkey: %s\nconditions:\n  - %q\n", s.Interface, "=> "+then)
}

func TestConditionRuleRoutesARunningConsumer(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", long)), start(t, provider(t, etcd, "b", long))
	port := func(p *process) string {
		_, port, err := net.SplitHostPort(p.Address)
		require.NoError(t, err)
		return port
	}
	const key = "org.e2e.Greet::.condition-router"
	putRule(t, etcd, key, conditionRule(greet, "port = "+port(a))) // before the consumer is there
	c := start(t, governed(etcd, consumer(etcd, long)))
	awaitCalls(t, c, greet, a)
	putRule(t, etcd, key, conditionRule(greet, "port = "+port(b)))
	awaitCalls(t, c, greet, b)
	deleteRule(t, etcd, key)
	awaitCalls(t, c, greet, a, b)
}

// dubbo-go's router of these only listens, and does not ask what there is.
func TestConditionRuleOfTheConsumersOwnApplication(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", long)), start(t, provider(t, etcd, "b", long))
	_, port, err := net.SplitHostPort(b.Address)
	require.NoError(t, err)
	rule := strings.Replace(conditionRule(greet, "port = "+port), "scope: service", "scope: application", 1)
	putRule(t, etcd, "consumer.condition-router", rule)
	c := start(t, governed(etcd, consumer(etcd, long)))
	awaitCalls(t, c, greet, b)
	deleteRule(t, etcd, "consumer.condition-router")
	awaitCalls(t, c, greet, a, b)
}

// avoiding is an override for the consumers of an application: who asks for no tag does
// not call those that have one.
func avoiding(address string) string {
	return fmt.Sprintf("configVersion: v2.7\nscope: application\nkey: \"*\"\nenabled: true\nconfigs:\n"+
		"  - {side: consumer, addresses: [\"0.0.0.0:0\"], providerAddresses: [%q], parameters: {dubbo.tag: gray}}\n", address)
}

func TestConfiguratorOfAConsumerSaysWhomItCalls(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]registryType{"InterfaceLevel": byInterface, "ApplicationLevel": byApplication} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			a, b := start(t, at(provider(t, etcd, "a", long), typed(etcd, level))), start(t, at(provider(t, etcd, "b", long), typed(etcd, level)))
			c := start(t, governed(etcd, at(consumer(etcd, long), typed(etcd, level))))
			awaitCalls(t, c, greet, a, b)
			putRule(t, etcd, "consumer.configurators", avoiding(a.Address))
			awaitCalls(t, c, greet, b)
			putRule(t, etcd, "consumer.configurators", avoiding(b.Address))
			awaitCalls(t, c, greet, a)
			deleteRule(t, etcd, "consumer.configurators")
			awaitCalls(t, c, greet, a, b)
		})
	}
}

// tagging is an override for all instances of an application: a consumer that
// asks for no tag does not call those that have one.
func tagging(application, tag, timeout string) string {
	return fmt.Sprintf(`configVersion: v2.7
scope: application
key: %s
enabled: true
configs:
  - addresses: ["0.0.0.0:0"]
    side: provider
    parameters:
      dubbo.tag: %q
      timeout: %q
`, application, tag, timeout)
}

// A provider applies the override to itself, and registers again; a running
// consumer hears of it from the registry.
func TestConfiguratorChangesARunningProviderAndItsConsumers(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", long)), startServing(t, governed(etcd, provider(t, etcd, "b", long)))
	c := start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a, b)
	awaitParamOf(t, etcd, b, "timeout", "")
	c.reset()

	for range 2 {
		putRule(t, etcd, "b.configurators", tagging("b", "gray", "2500"))
		awaitCalls(t, c, greet, a)
		awaitParamOf(t, etcd, b, "timeout", "2500")
		putRule(t, etcd, "b.configurators", tagging("b", "gray", "2600"))
		awaitParamOf(t, etcd, b, "timeout", "2600")
		deleteRule(t, etcd, "b.configurators")
		awaitCalls(t, c, greet, a, b)
		awaitParamOf(t, etcd, b, "timeout", "")
	}
	putRule(t, etcd, "b.configurators", tagging("b", "gray", "2500"))
	awaitCalls(t, c, greet, a)
	putRule(t, etcd, "b.configurators", tagging("somebody-else", "gray", "2500"))
	awaitCalls(t, c, greet, a, b)
	awaitParamOf(t, etcd, b, "timeout", "")
	requireNoFailure(t, c)
}

// weighting is a rule of an application for how often it calls one provider.
// dubbo-go compares the key in it with the provider's application.
func weighting(provider, weight string) string {
	return fmt.Sprintf(`configVersion: v2.7
scope: application
key: "*"
enabled: true
configs:
  - addresses: ["0.0.0.0:0"]
    providerAddresses: [%q]
    parameters: {weight: %q}
`, provider, weight)
}

func TestConfiguratorOfAConsumerRoutesIt(t *testing.T) {
	t.Parallel()
	// By interface dubbo-go's default weight is 0, which is evenly if all have it;
	// by application it is 100.
	for level, only := range map[string]func(one, other *process) string{
		"by interface":   func(one, _ *process) string { return weighting(one.Address, "100") },
		"by application": func(_, other *process) string { return weighting(other.Address, "0") },
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			typed := func(s spec) spec {
				if level == "by application" {
					return application(s)
				}
				return s
			}
			a, b := start(t, typed(provider(t, etcd, "a", long))), start(t, typed(provider(t, etcd, "b", long)))
			c := start(t, typed(governed(etcd, consumer(etcd, long))))
			awaitCalls(t, c, greet, a, b)
			c.reset()
			const key = "consumer.configurators"
			putRule(t, etcd, key, only(b, a))
			awaitCalls(t, c, greet, b)
			putRule(t, etcd, key, only(a, b))
			awaitCalls(t, c, greet, a)
			deleteRule(t, etcd, key)
			awaitCalls(t, c, greet, a, b)
			requireNoFailure(t, c)
		})
	}
}

func awaitParamOf(t *testing.T, etcd *etcdtest.Server, p *process, name, want string) {
	t.Helper()
	got := ""
	eventually(t, func() string { return p.Name + " is registered with " + name + "=" + got + ", want " + want }, func() bool {
		for _, k := range keys(t, etcd, providersOf(greet)) {
			if k.url.Host == p.Address {
				got = k.param(name)
			}
		}
		return got == want
	})
}
