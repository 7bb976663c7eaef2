// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strconv"
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

func TestReferencesAreAnsweredAfterEtcdWasKilledWhileTheirProvidersStarted(t *testing.T) {
	t.Parallel()
	for name, registered := range map[string]bool{"BeforeTheyWereRegistered": false, "WhenTheyWereRegistered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
				etcd := etcdtest.Start(t)
				services := numbered(4)
				c := start(t, with(application(consumer(etcd, medium, services...))))
				awaitReady(t, c)
				a := start(t, with(application(provider(t, etcd, "a", medium, services[:2]...))))
				b := start(t, with(application(provider(t, etcd, "b", medium, services[1:]...))))
				if registered {
					awaitInstance(t, etcd, a)
					awaitInstance(t, etcd, b)
				}
				etcd.Kill()
				awaitMore(t, c, services[0], 10)
				etcd.Start()
				all := view{services[0]: {a}, services[1]: {a, b}, services[2]: {b}, services[3]: {b}}
				awaitView(t, c, all)
				requireView(t, c, all)
			})
		})
	}
}

func TestTwoApplicationsOfOneInterfaceAreBothCalledAfterEtcdWasKilled(t *testing.T) {
	t.Parallel()
	g := newGrown(t, medium)
	touch(t, g.etcd, g.a, "before")
	g.etcd.Kill()
	newer := start(t, serving(instance(t, g.etcd, "newer", "a", medium), greet, other))
	requireView(t, g.c, onlyGreet(g.a, g.b))
	g.etcd.Start()
	g.await(t, g.a, g.b, newer)
	for i := range 3 {
		touch(t, g.etcd, newer, strconv.Itoa(i))
		requireView(t, g.c, onlyGreet(g.a, g.b, newer))
	}

	g.etcd.Kill()
	g.a.terminate()
	g.a.awaitEnd()
	g.etcd.Start() // its lease is still there, for a while
	g.await(t, g.b, newer)
}

func TestApplicationThatJoinsWhileEtcdIsAwayIsCalled(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, application(provider(t, etcd, "a", medium)))
	awaitInstance(t, etcd, a)
	c := start(t, application(consumer(etcd, medium)))
	awaitView(t, c, onlyGreet(a))
	c.reset()
	etcd.Kill()
	b := start(t, application(provider(t, etcd, "b", medium)))
	requireView(t, c, onlyGreet(a))
	etcd.Start()
	awaitView(t, c, onlyGreet(a, b))
	touch(t, etcd, a, "touched")
	requireView(t, c, onlyGreet(a, b))
	requireNoFailure(t, c)
}

func TestProviderThatStoodStillIsCalledAfterEtcdWasKilled(t *testing.T) {
	t.Parallel()
	for name, thawedFirst := range map[string]bool{"GoesOnBefore": true, "GoesOnAfterwards": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			services := numbered(2)
			a := start(t, application(provider(t, etcd, "a", long, services...)))
			awaitInstance(t, etcd, a)
			a.freeze()
			c := start(t, application(consumer(etcd, long, services...)))
			awaitReady(t, c)
			etcd.Kill()
			if thawedFirst {
				a.thaw()
			}
			awaitMore(t, c, services[0], 10)
			etcd.Start()
			if !thawedFirst {
				a.thaw()
			}
			awaitView(t, c, of(services, a))
			requireView(t, c, of(services, a))
		})
	}
}

func TestRemoteMetadataThatIsPutAfterEtcdWasKilledIsUsed(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	late, parts := elsewhere(t, etcd, "late", func(s spec) spec {
		s.RemoteMetadata = true
		return s
	})
	parts.put(t, mappingOf, instanceOf)
	calling := application(consumer(etcd, long))
	calling.RemoteMetadata = true
	c := start(t, calling)
	awaitReady(t, c)
	etcd.Kill()
	awaitMore(t, c, greet, 10)
	etcd.Start()
	parts.put(t, metadataOf)
	awaitView(t, c, onlyGreet(late))
	requireView(t, c, onlyGreet(late))
}

func TestReferenceThatNamesItsApplicationIsAnsweredAfterEtcdWasAway(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"WhenItStarted": false, "WhenItRan": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			named := by(greet, "a,b")
			a := start(t, application(provider(t, etcd, "a", medium)))
			awaitInstance(t, etcd, a)
			calling := application(consumer(etcd, medium, named))
			var c *process
			if running {
				c = start(t, calling)
				awaitView(t, c, view{named: {a}})
				c.reset()
			}
			etcd.Kill()
			if !running {
				c = start(t, calling)
				awaitReady(t, c)
				awaitMore(t, c, named, 1)
			}
			b := start(t, application(provider(t, etcd, "b", medium)))
			start(t, application(provider(t, etcd, "d", medium)))
			etcd.Start()
			awaitView(t, c, view{named: {a, b}})
			requireView(t, c, view{named: {a, b}})
			if running {
				requireNoFailure(t, c)
			}
		})
	}
}

func TestReferencesMadeAndDestroyedWhileEtcdIsAwayAreRightAfterwards(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(4)
	a := start(t, application(provider(t, etcd, "a", medium, services...)))
	awaitInstance(t, etcd, a)
	c := start(t, application(consumer(etcd, medium, services[:2]...)))
	awaitView(t, c, of(services[:2], a))
	c.reset()
	etcd.Kill()
	c.destroy(services[0])
	c.refer(services[2])
	c.refer(services[0])
	awaitMore(t, c, services[1], enough)
	etcd.Start()
	c.refer(services[3])
	b := start(t, serving(instance(t, etcd, "b", "a", medium), append(services, greet)...))
	awaitView(t, c, of(services, a, b))
	requireView(t, c, of(services, a, b))
}

func TestChainOfApplicationsThatRestartsWhileEtcdIsAwayWorksAgain(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		c := newChain(t, medium, with)
		c.reset(everybody)
		for _, half := range halves {
			c.stop(half)
			c.etcd.Kill()
			c.startAgain(half, newer)
			c.etcd.Start()
			c.await()
			c.reset(half)
			c.await()
			c.requireNoFailure()
		}
	})
}
