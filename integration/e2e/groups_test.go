// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// variants are services of which the names, groups and versions are easily
// taken for each other.
var variants = []service{
	{Interface: "org.e2e.Greet"},
	{Interface: "org.e2e.GreetMore"},
	{Interface: "org.e2e.Greet", Group: "g"},
	{Interface: "org.e2e.Greet", Group: "g2"},
	{Interface: "org.e2e.Greet", Version: "1.0"},
	{Interface: "org.e2e.Greet", Version: "1.0.1"},
	{Interface: "org.e2e.Greet", Group: "g", Version: "1.0"},
}

func TestApplicationIsCalledForTheGroupAndVersionAskedFor(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, variants...))
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{application(provider(t, etcd, "a", long, variants...))}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		awaitView(t, c, of(variants, ps...))
		c.reset()
		// Another instance has one of them, another application another one.
		b := start(t, serving(instance(t, etcd, "b", "a", long), variants[2]))
		d := start(t, application(provider(t, etcd, "d", long, variants[5])))
		all := of(variants, ps...).and(view{variants[2]: {ps[0], b}, variants[5]: {ps[0], d}})
		awaitView(t, c, all)
		requireNoFailure(t, c)
		requireView(t, c, all)
	})
}

// Blue and green are two deployments of one service.
func TestTwoGroupsOfOneInterfaceOfTwoApplicationsAreCalledApart(t *testing.T) {
	t.Parallel()
	blue, green := service{Interface: greet.Interface, Group: "blue"}, service{Interface: greet.Interface, Group: "green"}
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return application(consumer(etcd, long, blue, green))
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{application(provider(t, etcd, "a", long, blue)), application(provider(t, etcd, "b", long, green))}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		all := view{blue: ps[:1], green: ps[1:]}
		awaitView(t, c, all)
		c.reset()
		for _, p := range ps {
			touch(t, etcd, p, "touched")
			requireView(t, c, all)
		}
		// The application of the one deploys a revision that has both.
		d := start(t, serving(instance(t, etcd, "d", "a", long), blue, green))
		all = view{blue: {ps[0], d}, green: {ps[1], d}}
		awaitView(t, c, all)
		requireNoFailure(t, c)
	})
}
