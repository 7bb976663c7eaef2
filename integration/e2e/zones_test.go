// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// forceZoneKey is a value of a context, of dubbo-go's zone-aware cluster.
const forceZoneKey = constant.RegistryKey + "." + constant.RegistryZoneForceKey

// forced is the context of calls that only who is in the zone that they ask for may
// answer, if the child is to make such.
func (s spec) forced(ctx context.Context) context.Context {
	if s.ForceZone {
		ctx = context.WithValue(ctx, forceZoneKey, true) //nolint:staticcheck // dubbo-go looks for the string
	}
	return ctx
}

// tryZones makes a call, which may be made twice, in one zone after the other until
// one answers. docs/scaling.md has it. Without zones it is made as it is.
func tryZones(ctx context.Context, zones []string, call func(context.Context) error) (err error) {
	if len(zones) == 0 {
		return call(ctx)
	}
	for _, zone := range zones {
		asking := map[string]any{"registry.zone": zone}
		if err = call(context.WithValue(ctx, constant.AttachmentKey, asking)); err == nil {
			break
		}
	}
	return err
}

// zones are two etcds, of the zones east and west, and processes of one level.
type zones struct {
	t          *testing.T
	typ        registryType
	session    time.Duration
	east, west *etcdtest.Server
}

// inZones runs a test at both levels.
func inZones(t *testing.T, session time.Duration, test func(*testing.T, *zones)) {
	t.Parallel()
	for name, typ := range map[string]registryType{"Interface": byInterface, "Application": byApplication} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &zones{t, typ, session, etcdtest.Start(t), etcdtest.Start(t)})
		})
	}
}

// in is the registry of one zone.
func (z *zones) in(etcd *etcdtest.Server) registrySpec {
	name := "west"
	if etcd == z.east {
		name = "east"
	}
	return registrySpec{Address: etcd.Endpoint(), Type: z.typ, Zone: name}
}

// provider starts one that is registered in one zone, and has the name.
func (z *zones) provider(etcd *etcdtest.Server, name string) *process {
	z.t.Helper()
	s := at(provider(z.t, etcd, name, z.session), z.in(etcd))
	s.Application = "greeter"
	return start(z.t, s)
}

// consumer is one that looks in both zones; east is as the edit has it.
func (z *zones) consumer(edit func(east, west *registrySpec)) spec {
	east, west := z.in(z.east), z.in(z.west)
	edit(&east, &west)
	return at(consumer(z.east, z.session), east, west)
}

func preferEast(east, _ *registrySpec) { east.Preferred = true }

func TestPreferredZoneIsCalledAndTheOtherWhenItsProvidersStop(t *testing.T) {
	inZones(t, long, func(t *testing.T, z *zones) {
		a, b, w := z.provider(z.east, "a"), z.provider(z.east, "b"), z.provider(z.west, "w")
		c := start(t, z.consumer(preferEast))
		awaitView(t, c, onlyGreet(a, b))
		c.reset()
		a.terminate()
		a.awaitEnd()
		awaitView(t, c, onlyGreet(b))
		b.terminate()
		b.awaitEnd()
		awaitView(t, c, onlyGreet(w))
		d := z.provider(z.east, "d")
		awaitView(t, c, onlyGreet(d))
		requireView(t, c, onlyGreet(d))
		requireNoFailure(t, c)
	})
}

// Until its leases have run out, dubbo-go takes the preferred zone for available,
// and calls fail.
func TestOtherZoneIsCalledWhenTheSessionsOfThePreferredOnesHaveRunOut(t *testing.T) {
	inZones(t, short, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		c := start(t, z.consumer(preferEast))
		awaitView(t, c, onlyGreet(a))
		a.kill()
		awaitView(t, c, onlyGreet(w))
		c.reset()
		again := start(t, a.spec)
		awaitView(t, c, onlyGreet(again))
		requireNoFailure(t, c)
	})
}

// What docs/scaling.md has for those who cannot wait for sessions to run out.
func TestNoCallFailsThatIsMadeForTheOtherZoneWhenAZoneHasCrashed(t *testing.T) {
	inZones(t, short, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		z.awaitRegistered(z.west, w)
		calling := z.consumer(func(_, _ *registrySpec) {})
		calling.Zones = []string{"east", "west"}
		c := start(t, calling)
		awaitView(t, c, onlyGreet(a))
		c.reset()
		a.kill()
		awaitView(t, c, onlyGreet(w))
		again := start(t, a.spec)
		awaitView(t, c, onlyGreet(again))
		requireNoFailure(t, c)
	})
}

func TestPreferredZoneIsCalledWhileItsEtcdIsAway(t *testing.T) {
	inZones(t, medium, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		calling := z.consumer(preferEast)
		c := start(t, calling)
		awaitView(t, c, onlyGreet(a))
		z.awaitRegistered(z.west, w)
		c.reset()

		z.east.Kill()
		awaitLog(t, a, "lost the connection to etcd")
		awaitLog(t, c, "lost the connection to etcd")
		requireView(t, c, onlyGreet(a))
		late := start(t, calling) // it has no cache file
		awaitView(t, late, onlyGreet(w))
		late.reset()

		z.east.Start()
		awaitViews(t, views{c: onlyGreet(a), late: onlyGreet(a)})
		requireNoFailure(t, c)
		requireNoFailure(t, late)
	})
}

// The consumer cannot hear of it from etcd, but from the provider.
func TestOtherZoneIsCalledWhenThePreferredOnesProviderStopsWithoutItsEtcd(t *testing.T) {
	inZones(t, medium, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		c := start(t, z.consumer(preferEast))
		awaitView(t, c, onlyGreet(a))
		z.awaitRegistered(z.west, w)
		c.reset()
		z.east.Kill()
		awaitLog(t, a, "lost the connection to etcd")
		a.terminate()
		a.awaitEnd()
		awaitView(t, c, onlyGreet(w))
		requireNoFailure(t, c)
	})
}

// awaitRegistered waits until a provider is in the etcd.
func (z *zones) awaitRegistered(etcd *etcdtest.Server, p *process) {
	z.t.Helper()
	if z.typ == byInterface {
		awaitProviders(z.t, etcd, greet, p)
	} else {
		awaitInstance(z.t, etcd, p)
	}
}

func TestConsumerThatStartsWithoutThePreferredZonesEtcdCallsWhomItKnew(t *testing.T) {
	inZones(t, medium, func(t *testing.T, z *zones) {
		a, _ := z.provider(z.east, "a"), z.provider(z.west, "w")
		calling := z.consumer(preferEast)
		calling.Home = t.TempDir()
		c := start(t, calling)
		awaitView(t, c, onlyGreet(a))
		c.terminate() // which saves the cache file
		c.awaitEnd()
		z.east.Kill()
		again := start(t, calling)
		awaitView(t, again, onlyGreet(a))
		requireNoFailure(t, again)
	})
}

func TestZonesAreCalledByTheWeightsOfTheirRegistries(t *testing.T) {
	inZones(t, long, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		c := start(t, z.consumer(func(east, west *registrySpec) { east.Weight, west.Weight = 9, 1 }))
		awaitView(t, c, onlyGreet(a, w))
		c.reset()
		calls := awaitMore(t, c, greet, 4*enough)
		require.Greater(t, calls.By["a"], calls.By["w"], "%+v", calls) // 288 of 320, with a deviation of 5
		a.terminate()
		a.awaitEnd()
		awaitView(t, c, onlyGreet(w))
		requireNoFailure(t, c)
	})
}

func TestCallsThatAskForAZoneGoThereAndToTheOtherWhenItHasNobody(t *testing.T) {
	inZones(t, long, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		calling := z.consumer(func(east, west *registrySpec) { east.Weight, west.Weight = 1, 1 })
		calling.Zones = []string{"west"}
		c := start(t, calling)
		calling.ForceZone = true
		forced := start(t, calling)
		awaitViews(t, views{c: onlyGreet(w), forced: onlyGreet(w)})
		c.reset()
		w.terminate()
		w.awaitEnd()
		awaitView(t, c, onlyGreet(a))
		requireNoFailure(t, c)
		forced.reset()
		calls := awaitMore(t, forced, greet, enough)
		require.Zero(t, calls.Answered, "%+v", calls)
		require.Contains(t, calls.Errors[0], "zone: west")
	})
}

// An etcd that lets nobody in is no reason not to call whom another one knows.
func TestZoneWhoseEtcdRefusesIsDoneWithoutUntilItDoesNot(t *testing.T) {
	inZones(t, long, func(t *testing.T, z *zones) {
		a, w := z.provider(z.east, "a"), z.provider(z.west, "w")
		z.awaitRegistered(z.east, a)
		z.awaitRegistered(z.west, w)
		root := testkit.EnableAuth(t, z.west, "somebody", "/")
		c := start(t, z.consumer(func(_, west *registrySpec) { west.Preferred = true }))
		awaitView(t, c, onlyGreet(a))
		c.reset()
		testkit.Do(t, func(ctx context.Context) error { _, err := root.AuthDisable(ctx); return err })
		awaitView(t, c, onlyGreet(w))
		requireNoFailure(t, c)
	})
}

// dubbo-go ends the start of a server over the first registry that refuses it.
func TestProviderThatOneOfTwoEtcdsRefusesDoesNotStart(t *testing.T) {
	inZones(t, long, func(t *testing.T, z *zones) {
		testkit.EnableAuth(t, z.west, "somebody", "/")
		p := start(t, at(provider(t, z.east, "a", z.session), z.in(z.east), z.in(z.west)))
		eventually(t, func() string { return "it has not ended" }, func() bool {
			select {
			case <-p.ended:
				return true
			default:
				return false
			}
		})
		require.Contains(t, p.tail(), "failed to export service "+greet.Interface)
	})
}
