// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// inFleets runs a test with an application at each level where it can be registered.
func inFleets(t *testing.T, run func(t *testing.T, m migration)) {
	for name, m := range map[string]migration{
		"InterfaceLevel":                 {level: byInterfaceToo},
		"ApplicationLevel":               {level: byApplication},
		"ApplicationLevelRemoteMetadata": {level: byApplication, remote: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, m)
		})
	}
}

// The steps of docs/migration.md: consumers one by one, and back if need be, then
// providers; and the way back, providers first. Consumers never stop calling.
func TestNoCallFailsWhileAnApplicationMovesFromTheBuiltInRegistryAndBack(t *testing.T) {
	t.Parallel()
	inFleets(t, func(t *testing.T, m migration) {
		m.start(t)
		stays, moves := m.consumer(thatOfDubboGo), m.consumer(thatOfDubboGo)

		t.Log("a consumer moves, back, and again")
		for _, to := range []bool{thisRegistry, thatOfDubboGo, thisRegistry} {
			moves = m.moveConsumer(moves, to, stays)
		}
		t.Log("the other one follows, and the providers")
		stays = m.moveConsumer(stays, thisRegistry, moves)
		for i := range m.providers {
			m.moveProvider(i, thisRegistry, stays, moves)
		}

		t.Log("all of it back: providers, then consumers")
		for i := range m.providers {
			m.moveProvider(i, thatOfDubboGo, stays, moves)
		}
		moves = m.moveConsumer(moves, thatOfDubboGo, stays)
		stays = m.moveConsumer(stays, thatOfDubboGo, moves)
		requireNoFailure(t, stays)
		requireNoFailure(t, moves)
	})
}

// At interface level the built-in registry hears of new providers: consumers may follow
// providers there. It does not hear that one has gone, which dubbo-go's own notice of a
// graceful end, or a second attempt, makes up for.
func TestNoCallOfTheBuiltInRegistryFailsWhileProvidersMoveFirstAtInterfaceLevel(t *testing.T) {
	t.Parallel()
	m := migration{level: byInterfaceToo}
	m.start(t)
	theirs, ours := m.consumer(thatOfDubboGo), m.consumer(thisRegistry)
	for i := range m.providers {
		m.moveProvider(i, thisRegistry, theirs, ours)
	}
	theirs = m.moveConsumer(theirs, thisRegistry, ours)
	requireNoFailure(t, theirs)
	requireNoFailure(t, ours)
}

// At application level the built-in registry of v3.3.2 hears of no provider that comes,
// of whichever registry: why consumers have to move first.
func TestConsumersOfTheBuiltInRegistryHearOfNoProviderThatMovesAtApplicationLevel(t *testing.T) {
	t.Parallel()
	for name, to := range map[string]bool{"ToThisRegistry": thisRegistry, "OnlyRestarted": thatOfDubboGo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := migration{level: byApplication}
			m.start(t)
			theirs, ours := m.consumer(thatOfDubboGo), m.consumer(thisRegistry)

			m.moveProvider(0, to, ours)
			awaitView(t, theirs, onlyGreet(m.providers[1]))
			requireNoFailure(t, theirs)
			m.moveProvider(1, to, ours)
			before := theirs.calls(greet)
			after := awaitMore(t, theirs, greet, enough)
			assert.Equal(t, before.Answered, after.Answered, "calls were answered: by now it hears of providers, and docs/migration.md is to say so")

			m.consumer(thatOfDubboGo) // a restart is enough
			requireNoFailure(t, ours)
		})
	}
}

// Consumers that have not moved go on with what is gone; those that have do not. So look
// that all providers are registered before consumers move.
func TestAProviderThatTheBuiltInRegistryHasGivenUpIsOnlyCalledByWhoHasNotMoved(t *testing.T) {
	t.Parallel()
	m := migration{level: byInterfaceToo}
	m.start(t)
	proxy := etcdtest.NewProxy(t, m.etcd.Endpoint())
	lost := provider(t, m.etcd, "lost", long)
	lost.Application = "greeter"
	lost.Registries[0].Address = proxy.Addr()
	lost.BuiltIn, lost.Registries[0].Type = true, m.level
	stays := m.providers
	m.providers = append(m.providers, start(t, lost))
	given := m.providers[2]
	m.requireWritten(given)
	theirs, ours := m.consumer(thatOfDubboGo), m.consumer(thisRegistry)

	proxy.Cut()
	awaitLog(t, given, "etcd server stopped")
	proxy.Restore()
	key, ok := m.keyOf(given)
	require.True(t, ok)
	testkit.Revoke(t, m.etcd.Client(), key.lease) // nobody keeps it alive
	awaitView(t, ours, onlyGreet(stays...))
	requireView(t, theirs, onlyGreet(m.providers...))
	requireNoFailure(t, ours)
}
