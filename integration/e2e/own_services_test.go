// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// A process refers to its services before it exports them: it is a consumer that
// starts before its provider, itself.
func TestProcessCallsTheServicesThatItProvidesItself(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		etcd := etcdtest.Start(t)
		services := numbered(2)
		both := with(application(provider(t, etcd, "a", long, services...)))
		both.References = services
		a := start(t, both)
		awaitView(t, a, of(services, a))
		a.reset()
		b := with(serving(instance(t, etcd, "b", "a", long), services...))
		b.References = services
		other := start(t, b)
		for _, p := range []*process{a, other} {
			awaitView(t, p, of(services, a, other))
		}
		requireNoFailure(t, a)
		requireView(t, other, of(services, a, other))
		a.terminate()
		a.awaitEnd()
		awaitView(t, other, of(services, other))
		requireView(t, other, of(services, other))
	})
}

func TestProviderOfAnApplicationOfTheConsumersNameIsCalled(t *testing.T) {
	t.Parallel()
	services := numbered(2)
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		calling := application(consumer(etcd, long, services...))
		calling.Application = "same"
		return calling
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{serving(instance(t, etcd, "a", "same", long), services...)}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		awaitView(t, c, of(services, ps...))
		c.reset()
		b := start(t, serving(instance(t, etcd, "b", "same", long), append(services, greet)...))
		awaitView(t, c, of(services, ps[0], b))
		requireNoFailure(t, c)
	})
}

// Two processes that call each other, and start at once.
func TestTwoProvidersThatCallEachOtherFindEachOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	one := application(provider(t, etcd, "a", long, greet))
	one.References = []service{other}
	another := application(provider(t, etcd, "b", long, other))
	another.References = []service{greet}
	a, b := start(t, one), start(t, another)
	awaitView(t, a, view{other: {b}})
	awaitView(t, b, view{greet: {a}})
	requireView(t, a, view{other: {b}})
	requireView(t, b, view{greet: {a}})
}
