// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// application is a provider or consumer of which nothing is configured but the
// address of etcd, as in dubbo-go's etcd sample: it is found by its application.
func application(s spec) spec {
	for i := range s.Registries {
		s.Registries[i].Type = byDefault
	}
	return s
}

// instance is a provider that belongs to an application with others.
func instance(t testing.TB, etcd *etcdtest.Server, name, application string, session time.Duration) spec {
	s := provider(t, etcd, name, session)
	s.Application = application
	s.Registries[0].Type = byDefault
	return s
}

// instances returns the keys of an application's instances, and their leases.
func instances(t testing.TB, etcd *etcdtest.Server, application string) map[string]clientv3.LeaseID {
	t.Helper()
	return testkit.Keys(t, etcd.Client(), "/services/"+application+"/")
}

func awaitInstances(t testing.TB, etcd *etcdtest.Server, application string, n int) map[string]clientv3.LeaseID {
	t.Helper()
	var found map[string]clientv3.LeaseID
	eventually(t, func() string { return fmt.Sprintf("instances of %s: %v, want %d", application, found, n) }, func() bool {
		found = instances(t, etcd, application)
		return len(found) == n
	})
	return found
}

func TestAnApplicationThatConfiguresOnlyTheAddressIsFound(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := start(t, application(consumer(etcd, 0))) // before there is a provider
	eventually(t, func() string { return "the consumer does not start" }, func() bool { return c.report().Ready })
	a := start(t, application(provider(t, etcd, "a", 0)))
	awaitCalls(t, c, greet, a)
	found := awaitInstances(t, etcd, "a", 1)
	assert.Contains(t, found, "/services/a/"+a.Address)
	assert.Len(t, testkit.Leases(t, etcd.Client()), 1, "a consumer has nothing to register")

	a.terminate()
	a.awaitEnd()
	assert.Empty(t, instances(t, etcd, "a"), "a stopped provider has left")
	assert.Empty(t, testkit.Leases(t, etcd.Client()))
}

func TestAKilledInstanceIsGoneWithinItsSession(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, instance(t, etcd, "a", "greeter", short)), start(t, instance(t, etcd, "b", "greeter", short))
	c := start(t, application(consumer(etcd, short)))
	awaitInstances(t, etcd, "greeter", 2)
	awaitCalls(t, c, greet, a, b)
	c.reset()
	a.kill()
	killed := time.Now()
	awaitInstances(t, etcd, "greeter", 1)
	assert.Less(t, time.Since(killed), short+slack)
	awaitCalls(t, c, greet, b)
	requireNoFailure(t, c) // the other one took over what failed
}

func TestNoCallFailsDuringARollingRestartOfAnApplication(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	var providers []*process
	for i := range 3 {
		providers = append(providers, start(t, instance(t, etcd, fmt.Sprintf("p%d", i), "greeter", long)))
	}
	awaitInstances(t, etcd, "greeter", 3)
	calling := application(consumer(etcd, long))
	calling.Callers = 4
	c := start(t, calling)
	awaitCalls(t, c, greet, providers...)
	c.reset()
	for i, p := range providers {
		p.terminate()
		p.awaitEnd()
		awaitInstances(t, etcd, "greeter", 2)
		providers[i] = start(t, p.spec) // the same address
		awaitInstances(t, etcd, "greeter", 3)
		awaitCalls(t, c, greet, providers...)
	}
	requireNoFailure(t, c)
}

func TestBothLevelsShareOneLeaseAndOneConnection(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	both := provider(t, etcd, "a", long)
	both.Registries = []registrySpec{{Address: proxy.Addr(), Session: long, Type: byBoth}}
	both.References = []service{other}
	a := start(t, both)
	registered := awaitProviders(t, etcd, greet, a)
	found := awaitInstances(t, etcd, "a", 1)
	assert.Equal(t, registered[0].lease, found["/services/a/"+a.Address])
	assert.Len(t, testkit.Leases(t, etcd.Client()), 1)
	assert.Equal(t, 1, proxy.Accepted(), "connections")

	byInterfaces, byApplication := start(t, consumer(etcd, long)), start(t, application(consumer(etcd, long)))
	awaitCalls(t, byInterfaces, greet, a)
	awaitCalls(t, byApplication, greet, a)
	a.terminate()
	a.awaitEnd()
	assert.Empty(t, instances(t, etcd, "a"))
	awaitProviders(t, etcd, greet)
}

func TestAnApplicationThatStartsWithoutEtcdCallsWhatItKnewLast(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, application(provider(t, etcd, "a", medium)))
	calling := application(consumer(etcd, medium))
	calling.Home = t.TempDir()
	c := start(t, calling)
	awaitCalls(t, c, greet, a)
	c.terminate()
	c.awaitEnd()
	etcd.Kill()

	c = start(t, calling)
	awaitCalls(t, c, greet, a)
	etcd.Start()
	b := start(t, instance(t, etcd, "b", "a", medium))
	awaitInstances(t, etcd, "a", 2)
	a.terminate()
	a.awaitEnd()
	awaitCalls(t, c, greet, b)
}

func TestAnApplicationThatStartsBeforeEtcdIsRegisteredAndFound(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	a, c := start(t, application(provider(t, etcd, "a", medium))), start(t, application(consumer(etcd, medium)))
	eventually(t, func() string { return "the consumer does not start" }, func() bool { return c.report().Ready })
	etcd.Start()
	awaitInstances(t, etcd, "a", 1)
	awaitCalls(t, c, greet, a)
	etcd.Wipe()
	awaitInstances(t, etcd, "a", 1)
	again := start(t, application(consumer(etcd, medium))) // finds the mapping, too
	awaitCalls(t, again, greet, a)
}

// Services that have not moved yet find those that have, and the other way
// round.
func TestMixedWithTheBuiltInRegistry(t *testing.T) {
	t.Parallel()
	for level, typ := range map[string]registryType{"by interface": byInterface, "by application": byDefault} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			mixed := func(s spec, builtIn bool) spec {
				s.BuiltIn = builtIn
				for i := range s.Registries {
					s.Registries[i].Type = typ
				}
				return s
			}
			old := start(t, mixed(provider(t, etcd, "old", 0, greet), true))
			moved := start(t, mixed(provider(t, etcd, "moved", 0, other), false))
			eventually(t, func() string { return "not all are registered" }, func() bool {
				if typ == byDefault {
					return len(instances(t, etcd, "old")) == 1 && len(instances(t, etcd, "moved")) == 1
				}
				return len(keys(t, etcd, providersOf(greet))) == 1 && len(keys(t, etcd, providersOf(other))) == 1
			})
			calling := mixed(consumer(etcd, 0, greet), false)
			awaitCalls(t, start(t, calling), greet, old)
			calling = mixed(consumer(etcd, 0, other), true)
			awaitCalls(t, start(t, calling), other, moved)
		})
	}
}

// Its key is not created anew then: it is put over that of the process before,
// which has told its consumers that it stops.
func TestInstanceThatCouldNotLeaveIsCalledWhenItIsStartedAgain(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	cutOff := instance(t, etcd, "a", "greeter", long)
	direct := cutOff.Registries[0].Address
	cutOff.Registries[0].Address = proxy.Addr()
	a, b := start(t, cutOff), start(t, instance(t, etcd, "b", "greeter", long))
	c := start(t, application(consumer(etcd, long)))
	awaitInstances(t, etcd, "greeter", 2)
	awaitCalls(t, c, greet, a, b)
	proxy.Cut()
	a.terminate()
	a.awaitEnd()
	awaitInstances(t, etcd, "greeter", 2)
	again := a.spec
	again.Registries[0].Address = direct
	again.Name = "again"
	awaitCalls(t, c, greet, start(t, again), b)
}
