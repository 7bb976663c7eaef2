// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestConsumerFindsProvidersThatAreThereAndThatComeAndSharesCalls(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, provider(t, etcd, "a", long))
	awaitProviders(t, etcd, greet, a)

	c := start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a)
	requireNoFailure(t, c) // the first call already had what it needs

	b, d := start(t, provider(t, etcd, "b", long)), start(t, provider(t, etcd, "d", long))
	awaitCalls(t, c, greet, a, b, d)
	requireNoFailure(t, c)
	awaitProviders(t, etcd, greet, a, b, d)
	awaitKeys(t, etcd, consumersOf(greet), 1)
}

func TestConsumerStartedBeforeItsProviderFindsItWhenItComes(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := start(t, consumer(etcd, long))
	awaitKeys(t, etcd, consumersOf(greet), 1)
	calls := awaitMore(t, c, greet, 3)
	assert.Zero(t, calls.Answered)

	a := start(t, provider(t, etcd, "a", long))
	awaitCalls(t, c, greet, a)
	c.reset()
	awaitMore(t, c, greet, enough)
	requireNoFailure(t, c)
}

func TestConsumerAndProviderStartedBeforeEtcdFindEachOtherWhenItComes(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	c, a := start(t, consumer(etcd, long)), start(t, provider(t, etcd, "a", long))
	awaitMore(t, c, greet, 1)
	etcd.Start()
	awaitProviders(t, etcd, greet, a)
	awaitCalls(t, c, greet, a)
	awaitKeys(t, etcd, consumersOf(greet), 1)
}

// One provider serves all of these; one consumer calls each.
func TestConsumersGetOnlyTheServiceGroupAndVersionTheyAskFor(t *testing.T) {
	t.Parallel()
	services := []service{
		{Interface: "org.e2e.Greet"},
		{Interface: "org.e2e.GreetMore"}, // the name above is a prefix of it
		{Interface: "org.e2e"},           // a prefix of both
		{Interface: "org.e2e.Greet", Group: "g"},
		{Interface: "org.e2e.Greet", Group: "g2"},
		{Interface: "org.e2e.Greet", Version: "1.0"},
		{Interface: "org.e2e.Greet", Version: "1.0.1"},
		{Interface: "org.e2e.Greet", Group: "g", Version: "1.0"},
	}
	etcd := etcdtest.Start(t)
	a := start(t, provider(t, etcd, "a", long, services...))
	awaitKeys(t, etcd, "/dubbo/org.e2e.Greet/providers/", 6)
	awaitKeys(t, etcd, "/dubbo/org.e2e.GreetMore/providers/", 1)
	awaitKeys(t, etcd, "/dubbo/org.e2e/providers/", 1)
	// Only now: dubbo-go must not be called while it exports another group or
	// version of a service (a data race in its triple_protocol.Handler).
	c := start(t, consumer(etcd, long, services...))
	awaitAnswers(t, c, services)

	// A second provider has only one of them.
	b := start(t, provider(t, etcd, "b", long, services[1]))
	awaitCalls(t, c, services[1], a, b)
	c.reset()
	for id, calls := range awaitAnswers(t, c, services) {
		assert.Equal(t, map[string]int{id: calls.Answered}, calls.Of)
		if id != services[1].id() {
			assert.Equal(t, map[string]int{"a": calls.Answered}, calls.By, id)
		}
	}
	requireNoFailure(t, c)
	assert.Len(t, testkit.Leases(t, etcd.Client()), 3, "one a process")
}

// awaitAnswers waits until enough calls of each service have been answered.
func awaitAnswers(t *testing.T, c *process, services []service) map[string]tally {
	t.Helper()
	var all map[string]tally
	eventually(t, func() string { return fmt.Sprintf("%+v", all) }, func() bool {
		all = c.report().Tallies
		return len(all) == len(services) && !slices.ContainsFunc(services, func(s service) bool { return all[s.id()].Answered < enough })
	})
	return all
}
