// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// at has a process use these registries, each with its type.
func at(s spec, registries ...registrySpec) spec {
	session := s.Registries[0].Session
	s.Registries = nil
	for _, r := range registries {
		r.Session = session
		s.Registries = append(s.Registries, r)
	}
	return s
}

func typed(etcd *etcdtest.Server, typ registryType) registrySpec {
	return registrySpec{Address: etcd.Endpoint(), Type: typ}
}

// onlyGreet is the view of a consumer that has no other reference.
func onlyGreet(ps ...*process) view { return of([]service{greet}, ps...) }

func TestProviderThatIsRegisteredInOneOfTwoEtcdsIsFound(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]bool{"TheFirst": false, "TheSecond": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e1, e2 := etcdtest.Start(t), etcdtest.Start(t)
			its, others := e1, e2
			if second {
				its, others = e2, e1
			}
			calling := at(consumer(e1, long), typed(e1, byDefault), typed(e2, byDefault))
			early := start(t, calling)
			awaitReady(t, early)
			a := start(t, application(provider(t, its, "a", long)))
			awaitInstance(t, its, a)
			awaitView(t, early, onlyGreet(a))
			late := start(t, calling)
			awaitView(t, late, onlyGreet(a))
			early.reset()
			late.reset()

			more := start(t, instance(t, its, "more", "a", long))
			b := start(t, application(provider(t, others, "b", long)))
			awaitViews(t, views{early: onlyGreet(a, more, b), late: onlyGreet(a, more, b)})
			requireNoFailure(t, early)
			requireNoFailure(t, late)
			a.terminate()
			a.awaitEnd()
			awaitViews(t, views{early: onlyGreet(more, b), late: onlyGreet(more, b)})
		})
	}
}

func TestProviderOfTwoEtcdsIsCalledWhileOneIsAway(t *testing.T) {
	t.Parallel()
	e1, e2 := etcdtest.Start(t), etcdtest.Start(t)
	both := []registrySpec{typed(e1, byDefault), typed(e2, byDefault)}
	c := start(t, at(consumer(e1, medium), both...))
	awaitReady(t, c)
	a := start(t, at(provider(t, e1, "a", medium), both...))
	awaitInstance(t, e1, a)
	awaitInstance(t, e2, a)
	awaitView(t, c, onlyGreet(a))
	c.reset()
	e1.Kill()
	awaitLog(t, a, "was not kept alive for its")
	joining := at(provider(t, e1, "b", medium), both...)
	joining.Application = "a"
	b := start(t, joining)
	awaitView(t, c, onlyGreet(a, b))
	e1.Start()
	awaitInstances(t, e1, "a", 2)
	a.terminate()
	a.awaitEnd()
	awaitView(t, c, onlyGreet(b))
	requireNoFailure(t, c)
}

func TestRegistriesOfBothTypesInOneProcessFindTheProvidersOfEither(t *testing.T) {
	t.Parallel()
	for name, interfaces := range map[string]registryType{"OneMetadataReport": byInterface, "TwoMetadataReports": byInterfaceToo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e1, e2 := etcdtest.Start(t), etcdtest.Start(t)
			both := []registrySpec{typed(e1, interfaces), typed(e2, byDefault)}
			c := start(t, at(consumer(e1, long), both...))
			awaitReady(t, c)
			a := start(t, at(provider(t, e1, "a", long), both[0]))
			b := start(t, at(provider(t, e2, "b", long), both[1]))
			awaitView(t, c, onlyGreet(a, b))
			requireView(t, c, onlyGreet(a, b))
			d := start(t, at(provider(t, e1, "d", long), both...))
			awaitView(t, c, onlyGreet(a, b, d))
			a.terminate()
			a.awaitEnd()
			b.terminate()
			b.awaitEnd()
			awaitView(t, c, onlyGreet(d))
			again := start(t, a.spec)
			awaitView(t, c, onlyGreet(again, d))
			requireView(t, c, onlyGreet(again, d))
		})
	}
}

// With registry-type all, a service that moves from one level to the other is
// found at either.
func TestRegistryTypeAllFindsTheProvidersOfEitherType(t *testing.T) {
	t.Parallel()
	services := numbered(2)
	etcd := etcdtest.Start(t)
	c := start(t, at(consumer(etcd, long, services...), typed(etcd, byBoth)))
	awaitReady(t, c)
	all := start(t, at(provider(t, etcd, "all", long, services...), typed(etcd, byBoth)))
	awaitInstance(t, etcd, all)
	awaitView(t, c, of(services, all))
	requireView(t, c, of(services, all))

	old := start(t, at(provider(t, etcd, "old", long, services...), typed(etcd, byInterface)))
	moved := start(t, at(provider(t, etcd, "moved", long, services...), typed(etcd, byApplication)))
	awaitView(t, c, of(services, all, old, moved))
	requireView(t, c, of(services, all, old, moved))
	all.terminate()
	all.awaitEnd()
	awaitView(t, c, of(services, old, moved))
	requireView(t, c, of(services, old, moved))
}

// A provider of registry-type all is called once per call, by consumers of each
// type.
func TestProviderOfRegistryTypeAllIsFoundByConsumersOfEachType(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	var consumers []*process
	all := func(v view) views {
		vs := views{}
		for _, c := range consumers {
			vs[c] = v
		}
		return vs
	}
	for _, typ := range []registryType{byInterface, byApplication, byBoth} {
		calling := at(consumer(etcd, long), typed(etcd, typ))
		calling.Name = "consumer-" + calling.Registries[0].name()
		consumers = append(consumers, start(t, calling))
	}
	awaitReady(t, consumers...)
	a := start(t, at(provider(t, etcd, "a", long), typed(etcd, byBoth)))
	awaitViews(t, all(onlyGreet(a)))
	for _, c := range consumers {
		c.reset()
	}
	b := start(t, at(provider(t, etcd, "b", long), typed(etcd, byBoth)))
	awaitViews(t, all(onlyGreet(a, b)))
	for _, c := range consumers {
		requireNoFailure(t, c)
	}
	a.terminate()
	a.awaitEnd()
	awaitViews(t, all(onlyGreet(b)))
	require.Empty(t, all(onlyGreet(b)).differences(t))
}

func (r registrySpec) name() string { return cmp.Or(string(r.Type), "interface") }
