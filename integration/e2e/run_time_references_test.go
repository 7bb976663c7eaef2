// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// alias is one more reference to a service.
func alias(s service, name string) service {
	s.Alias = name
	return s
}

func TestReferencesMadeAtRunTimeAreAnswered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(4)
	a := start(t, application(provider(t, etcd, "a", long, services[:3]...)))
	awaitInstance(t, etcd, a)
	c := start(t, application(consumer(etcd, long, services[0])))
	awaitView(t, c, of(services[:1], a))
	c.reset()
	for i := range services[:2] {
		c.refer(services[i+1])
		awaitView(t, c, of(services[:i+2], a))
		requireNoFailure(t, c) // the first call of each already had what it needed
	}
	c.refer(services[3]) // nobody provides it yet
	b := start(t, application(provider(t, etcd, "b", long, services[2:]...)))
	all := of(services[:2], a).and(view{services[2]: {a, b}, services[3]: {b}})
	awaitView(t, c, all)
	requireView(t, c, all)
}

func TestReferenceThatIsDestroyedAndMadeAgainKnowsWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		etcd := etcdtest.Start(t)
		a := start(t, with(application(provider(t, etcd, "a", long, greet, other))))
		awaitInstance(t, etcd, a)
		c := start(t, with(application(consumer(etcd, long, greet, other))))
		awaitView(t, c, of([]service{greet, other}, a))
		for range 2 {
			c.destroy(greet)
			_, there := c.report().Tallies[greet.reference()]
			require.False(t, there)
			b := start(t, with(serving(instance(t, etcd, "b", "a", long), greet, other, numbered(1)[0])))
			awaitInstance(t, etcd, b)
			awaitView(t, c, of([]service{other}, a, b))
			c.refer(greet)
			awaitView(t, c, of([]service{greet, other}, a, b))
			d := start(t, with(application(provider(t, etcd, "d", long))))
			awaitView(t, c, of([]service{greet}, a, b, d).and(of([]service{other}, a, b)))
			c.destroy(greet)
			for _, p := range []*process{b, d} {
				p.terminate()
				p.awaitEnd()
			}
			c.refer(greet)
			awaitView(t, c, of([]service{greet, other}, a))
			requireView(t, c, of([]service{greet, other}, a))
		}
	})
}

func TestReferenceHearsOfChangesAfterAnotherOneOfItsInterfaceIsDestroyed(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"TheOlder": true, "TheNewer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			a := start(t, application(provider(t, etcd, "a", long)))
			awaitInstance(t, etcd, a)
			destroyed, kept := greet, alias(greet, "newer")
			if !first {
				destroyed, kept = kept, destroyed
			}
			c := start(t, application(consumer(etcd, long, greet, alias(greet, "newer"))))
			awaitView(t, c, of([]service{destroyed, kept}, a))
			c.reset()
			b := start(t, instance(t, etcd, "b", "a", long))
			awaitView(t, c, of([]service{destroyed, kept}, a, b)) // both hear of it
			c.destroy(destroyed)
			requireView(t, c, view{kept: {a, b}})

			d := start(t, serving(instance(t, etcd, "d", "a", long), greet, other)) // another revision
			awaitView(t, c, view{kept: {a, b, d}})
			e := start(t, application(provider(t, etcd, "e", long))) // the mapping grows
			awaitView(t, c, view{kept: {a, b, d, e}})
			b.terminate()
			b.awaitEnd()
			awaitView(t, c, view{kept: {a, d, e}})
			requireNoFailure(t, c)
		})
	}
}

// Both wait for their first provider.
func TestReferenceIsAnsweredAfterAnotherOneOfItsInterfaceWaitedAndWasDestroyed(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	destroyed, kept := greet, alias(greet, "kept")
	c := start(t, application(consumer(etcd, long, destroyed, kept)))
	awaitReady(t, c)
	c.destroy(destroyed)
	a := start(t, application(provider(t, etcd, "a", long)))
	awaitView(t, c, view{kept: {a}})
	c.refer(destroyed)
	awaitView(t, c, view{kept: {a}, destroyed: {a}})
	b := start(t, application(provider(t, etcd, "b", long)))
	awaitView(t, c, view{kept: {a, b}, destroyed: {a, b}})
	requireView(t, c, view{kept: {a, b}, destroyed: {a, b}})
}

// One application serves both interfaces.
func TestReferenceHearsOfChangesAfterOneToAnotherInterfaceIsDestroyed(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(3)
	a := start(t, application(provider(t, etcd, "a", long, services...)))
	awaitInstance(t, etcd, a)
	c := start(t, application(consumer(etcd, long, services...)))
	awaitView(t, c, of(services, a))
	c.reset()
	c.destroy(services[0])
	b := start(t, serving(instance(t, etcd, "b", "a", long), services...))
	awaitView(t, c, of(services[1:], a, b))
	c.destroy(services[1])
	d := start(t, serving(instance(t, etcd, "d", "a", long), append(services, greet)...))
	awaitView(t, c, of(services[2:], a, b, d))
	requireNoFailure(t, c)
}
