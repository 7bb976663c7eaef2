// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// long is a session that no test lives to see the end of: what goes before goes
	// because it was deleted.
	long = "&session=600000"
	// short is a session that a test waits for.
	short = "&session=5000"
)

// plain is a service of the dubbo protocol, as a provider serves it and as a
// consumer refers to it.
func plain(t *testing.T) string { return "serve=dubbo://" + address(t) + "/" + plainInterface }

const referPlain = "refer=dubbo://any/" + plainInterface

// requireConsumers waits until so many consumers of Plain are registered.
func requireConsumers(t *testing.T, etcd *etcdtest.Server, n int) {
	t.Helper()
	prefix := "/dubbo/" + plainInterface + "/consumers/"
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.List(t, etcd.Client(), prefix).Kvs) == n }, "%d consumers", n)
}

func TestLeavingIsNoticedByTheOther(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		bothWays(t, v, func(t *testing.T, provider, consumer side) {
			etcd := etcdtest.Start(t)
			providing, consuming := provider.registry(etcd.Endpoint()), consumer.registry(etcd.Endpoint())
			provider.start(t, "stays", providing+long, plain(t))
			stops := provider.start(t, "stops", providing+long, plain(t))
			dies := provider.start(t, "dies", providing+short, plain(t))
			c := consumer.start(t, "consumer", consuming+long, referPlain)
			dying := consumer.start(t, "dying", consuming+short, referPlain)

			all := []string{"dies@/", "stays@/", "stops@/"}
			requireCalls(t, c, 0, all...)
			requireCalls(t, dying, 0, all...)
			requireConsumers(t, etcd, 2)
			dying.kill()
			stops.stop()
			requireCalls(t, c, 0, "dies@/", "stays@/")
			dies.kill()
			requireCalls(t, c, 0, "stays@/")
			requireConsumers(t, etcd, 1)

			back := provider.start(t, "back", providing+long, plain(t))
			requireCalls(t, c, 0, "back@/", "stays@/")
			back.stop()
			requireCalls(t, c, 0, "stays@/")
			c.stop()
			requireConsumers(t, etcd, 0)
		})
	})
}

// A fleet of both: providers in each language are called by consumers in each.
func TestProvidersOfBothLanguagesAreCalledSideBySide(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		for _, s := range []side{goSide(), javaSide(v)} {
			s.start(t, "in"+s.language, s.registry(etcd.Endpoint()), plain(t), "weight=100")
		}
		for _, s := range []side{goSide(), javaSide(v)} {
			c := s.start(t, "consumer", s.registry(etcd.Endpoint()), referPlain)
			requireCalls(t, c, 0, "inGo@/", "inJava@/")
		}
	})
}

// dubbo-go writes weight=0 for a provider that was given none. Whoever adds up
// weights calls it only if nobody has one: a provider in Java, which writes none,
// has 100 then.
func TestAProviderInGoWithoutAWeightGivesWayToOnesInJava(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		for _, s := range []side{goSide(), javaSide(v)} {
			s.start(t, "in"+s.language, s.registry(etcd.Endpoint()), plain(t))
		}
		for _, s := range []side{goSide(), javaSide(v)} {
			c := s.start(t, "consumer", s.registry(etcd.Endpoint()), referPlain)
			requireCalls(t, c, 0, "inJava@/")
			require.Equal(t, "inJava@/=200", c.do("call 0 200"))
		}
	})
}
