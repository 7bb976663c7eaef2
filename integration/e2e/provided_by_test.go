// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// by is a reference that names its applications.
func by(s service, applications string) service {
	s.ProvidedBy = applications
	return s
}

func TestReferenceThatNamesAnApplicationCallsOnlyThat(t *testing.T) {
	t.Parallel()
	named := by(greet, "b")
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, named))
	}, applications("a", "b"), func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		v := view{named: ps[1:]}
		awaitView(t, c, v)
		c.reset()
		d := start(t, application(provider(t, etcd, "d", long))) // the mapping grows
		more := start(t, instance(t, etcd, "more", "b", long))
		awaitInstance(t, etcd, d)
		v = view{named: {ps[1], more}}
		awaitView(t, c, v)
		touch(t, etcd, ps[1], "touched")
		requireView(t, c, v)
		requireNoFailure(t, c)
	})
}

func TestReferenceThatNamesSeveralApplicationsCallsAllOfThem(t *testing.T) {
	t.Parallel()
	named := by(greet, "a,b")
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, named))
	}, applications("a", "other"), func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		awaitView(t, c, view{named: ps[:1]})
		c.reset()
		b := start(t, application(provider(t, etcd, "b", long)))
		v := view{named: {ps[0], b}}
		awaitView(t, c, v)
		touch(t, etcd, ps[0], "touched")
		touch(t, etcd, b, "touched")
		requireView(t, c, v)
		requireNoFailure(t, c)
	})
}

// The metadata report is another etcd, and there is nothing in it.
func TestReferenceThatNamesItsApplicationNeedsNoMapping(t *testing.T) {
	t.Parallel()
	named := by(greet, "a")
	inBothOrders(t, func(t *testing.T, etcd *etcdtest.Server) spec {
		calling := application(consumer(etcd, long, named))
		calling.Registries[0].NoReport = true
		calling.MetadataReport = etcdtest.Start(t).Endpoint()
		return calling
	}, applications("a"), requireOnly(named))
}

func TestReferenceThatNamesItsApplicationNeedsNoMetadataReport(t *testing.T) {
	t.Parallel()
	named := by(greet, "a")
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		calling := application(consumer(etcd, long, named))
		calling.Registries[0].NoReport = true
		return calling
	}, applications("a"), requireOnly(named))
}

func requireOnly(named service) func(*testing.T, *etcdtest.Server, *process, []*process) {
	return func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		awaitView(t, c, view{named: ps})
		requireView(t, c, view{named: ps})
		c.reset()
		more := start(t, serving(instance(t, etcd, "more", ps[0].application(), long), greet, other))
		awaitView(t, c, view{named: append(ps, more)})
		requireNoFailure(t, c)
	}
}

// The one names its application, the other does not.
func TestReferencesToOneInterfaceOfWhichOneNamesItsApplication(t *testing.T) {
	t.Parallel()
	named, free := by(greet, "b"), greet
	named.Alias = "named"
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, named, free))
	}, applications("a", "b"), func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		awaitView(t, c, view{named: ps[1:], free: ps})
		c.reset()
		d := start(t, application(provider(t, etcd, "d", long)))
		awaitView(t, c, view{named: ps[1:], free: append(ps, d)})
		requireNoFailure(t, c)
	})
}

// The instance is there, and no mapping that leads to it.
func TestReferenceThatNamesItsApplicationFindsItWhereNoMappingLeadsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, parts := elsewhere(t, etcd, "a", nil)
	parts.put(t, instanceOf)
	named := by(greet, "a")
	c := start(t, application(consumer(etcd, long, named)))
	awaitView(t, c, view{named: {a}})
	requireView(t, c, view{named: {a}})
}
