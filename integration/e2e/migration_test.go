// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// The steps of docs/migration.md: providers in both registries, consumers one by one and
// back if need be, providers out of the old one. Consumers never stop calling.
func TestNoCallFailsWhileAnApplicationMovesFromZooKeeper(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]registryType{"InterfaceLevel": byInterfaceToo, "ApplicationLevel": byApplication} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zookeeper, stopZooKeeper := startZooKeeper(t)
			etcd := etcdtest.Start(t)
			before := registrySpec{Address: zookeeper, Type: level, ZooKeeper: true}
			after := typed(etcd, level)
			both := []registrySpec{before, after}

			var providers []*process
			for _, name := range []string{"a", "b"} {
				s := at(provider(t, etcd, name, long), before)
				s.Application = "greeter"
				providers = append(providers, start(t, s))
			}
			calling := at(consumer(etcd, long), before)
			stays, moves := start(t, calling), start(t, calling)
			awaitReady(t, stays, moves)
			awaitViews(t, views{stays: onlyGreet(providers...), moves: onlyGreet(providers...)})
			stays.reset()
			moves.reset()

			t.Log("providers are registered in both")
			restart(t, providers, both, stays, moves)
			for _, p := range providers {
				awaitRegistered(t, etcd, level, p)
			}

			t.Log("a consumer moves, back, and again")
			for _, to := range []registrySpec{after, before, after} {
				moves = moveTo(t, moves, to)
				awaitView(t, moves, onlyGreet(providers...))
			}
			requireNoFailure(t, stays)

			t.Log("the other one follows, and providers leave")
			stays = moveTo(t, stays, after)
			awaitView(t, stays, onlyGreet(providers...))
			restart(t, providers, []registrySpec{after}, stays, moves)

			t.Log("nobody needs ZooKeeper any more")
			stopZooKeeper()
			awaitViews(t, views{stays: onlyGreet(providers...), moves: onlyGreet(providers...)})
			requireNoFailure(t, stays)
			requireNoFailure(t, moves)
		})
	}
}

// restart gives providers other registries, one after the other; consumers call them all
// before the next one is stopped. Each has another address than before: at application
// level dubbo-go v3.3.2 by itself calls nobody for half a minute who has said at the same
// address that he stops (closingTombstoneTTL of its registry/directory).
func restart(t *testing.T, providers []*process, registries []registrySpec, consumers ...*process) {
	t.Helper()
	for i, p := range providers {
		p.terminate()
		p.awaitEnd()
		next := at(p.spec, registries...)
		next.Address = address(t)
		providers[i] = start(t, next)
		for _, c := range consumers {
			awaitView(t, c, onlyGreet(providers...))
			requireNoFailure(t, c)
		}
	}
}

// moveTo starts a consumer with another registry, and stops the one that there was, of
// which no call has failed.
func moveTo(t *testing.T, old *process, to registrySpec) *process {
	t.Helper()
	c := start(t, at(old.spec, to))
	awaitReady(t, c)
	requireNoFailure(t, old)
	old.terminate()
	old.awaitEnd()
	return c
}

// awaitRegistered waits until etcd has a provider.
func awaitRegistered(t *testing.T, etcd *etcdtest.Server, level registryType, p *process) {
	t.Helper()
	if level == byApplication {
		awaitInstance(t, etcd, p)
		return
	}
	var found []string
	eventually(t, func() string { return fmt.Sprintf("registered in etcd: %v, want %s", found, p.Address) }, func() bool {
		found = addressesOf(keys(t, etcd, providersOf(greet)))
		return slices.Contains(found, p.Address)
	})
}
