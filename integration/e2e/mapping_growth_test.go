// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// grown is a consumer that knew one application of an interface when another
// joined.
type grown struct {
	etcd    *etcdtest.Server
	a, b, c *process
}

func newGrown(t *testing.T, session time.Duration) *grown {
	etcd := etcdtest.Start(t)
	g := &grown{etcd: etcd, a: start(t, application(provider(t, etcd, "a", session)))}
	awaitInstances(t, etcd, "a", 1)
	g.c = start(t, application(consumer(etcd, session)))
	awaitView(t, g.c, of([]service{greet}, g.a))
	g.c.reset()
	g.b = start(t, application(provider(t, etcd, "b", session)))
	g.await(t, g.a, g.b)
	return g
}

// await waits until the consumer calls exactly these, and no call has failed
// from the beginning.
func (g *grown) await(t *testing.T, ps ...*process) {
	t.Helper()
	awaitView(t, g.c, of([]service{greet}, ps...))
	requireNoFailure(t, g.c)
}

func TestTwoApplicationsOfOneInterfaceAreBothCalledWhileAnInstanceChanges(t *testing.T) {
	t.Parallel()
	for name, changing := range map[string]func(*grown) *process{
		"OfTheFirst":  func(g *grown) *process { return g.a },
		"OfTheSecond": func(g *grown) *process { return g.b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrown(t, long)
			for i := range 12 {
				touch(t, g.etcd, changing(g), strconv.Itoa(i))
				requireView(t, g.c, of([]service{greet}, g.a, g.b)) // both, all the time
			}
			requireNoFailure(t, g.c)
		})
	}
}

func TestTwoApplicationsOfOneInterfaceAreBothCalledAfterANewRevision(t *testing.T) {
	t.Parallel()
	g := newGrown(t, long)
	newer := start(t, serving(instance(t, g.etcd, "newer", "a", long), greet, other))
	g.await(t, g.a, g.b, newer)
	requireView(t, g.c, of([]service{greet}, g.a, g.b, newer))

	g.a.terminate()
	g.a.awaitEnd()
	g.await(t, g.b, newer)
	touch(t, g.etcd, newer, "again")
	requireView(t, g.c, of([]service{greet}, g.b, newer))
	newest := start(t, serving(instance(t, g.etcd, "newest", "b", long), greet, other))
	g.await(t, g.b, newer, newest)
}

func TestInstanceThatComesAndGoesAfterItsInterfaceGrewIsCalledWhileItIsThere(t *testing.T) {
	t.Parallel()
	g := newGrown(t, long)
	for range 3 {
		more := start(t, instance(t, g.etcd, "more", "a", long)) // the revision of a
		g.await(t, g.a, g.b, more)
		more.terminate()
		more.awaitEnd()
		g.await(t, g.a, g.b)
	}
	g.b.terminate()
	g.b.awaitEnd()
	g.await(t, g.a)
	again := start(t, g.b.spec) // the mapping has had it all the time
	g.await(t, g.a, again)
}

// Four applications join one after another, and in between the first changes.
func TestApplicationsThatJoinOneAfterAnotherAreAllCalled(t *testing.T) {
	t.Parallel()
	g := newGrown(t, long)
	all := []*process{g.a, g.b}
	for _, name := range []string{"d", "e"} {
		all = append(all, start(t, application(provider(t, g.etcd, name, long))))
		g.await(t, all...)
		for i, p := range all {
			touch(t, g.etcd, p, name+strconv.Itoa(i))
		}
		requireView(t, g.c, of([]service{greet}, all...))
	}
	requireNoFailure(t, g.c)
}

// The consumer has several references: what is told to one of them must not be
// lost to another, and not all of their interfaces grow.
func TestReferencesOfWhichOneInterfaceGrowsAreAllAnswered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(3)
	a := start(t, application(provider(t, etcd, "a", long, services...)))
	awaitInstances(t, etcd, "a", 1)
	c := start(t, application(consumer(etcd, long, services...)))
	awaitView(t, c, of(services, a))
	c.reset()
	b := start(t, application(provider(t, etcd, "b", long, services[0])))
	all := of(services[1:], a).and(of(services[:1], a, b))
	awaitView(t, c, all)
	for i := range 4 {
		touch(t, etcd, a, strconv.Itoa(i))
		touch(t, etcd, b, strconv.Itoa(i))
		requireView(t, c, all)
	}
	d := start(t, serving(instance(t, etcd, "d", "a", long), append(services, other)...))
	awaitView(t, c, of(services[1:], a, d).and(of(services[:1], a, b, d)))
	requireNoFailure(t, c)
	a.terminate()
	a.awaitEnd()
	awaitView(t, c, of(services[1:], d).and(of(services[:1], b, d)))
	requireNoFailure(t, c)
}
