// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// ruleFor is a rule for one provider, as dubbo-admin writes it.
func ruleFor(p *process, s service, params string) string {
	return "override://" + p.Address + "/" + s.Interface + "?category=configurators&dynamic=false&enabled=true&" + params
}

// ruleForAll is a rule for everybody, as dubbo-admin writes it.
func ruleForAll(s service, params string) string {
	return "override://0.0.0.0/" + s.Interface + "?category=configurators&dynamic=false&enabled=true&" + params
}

// awaitOutcome waits until n calls in a row all fail, or are all answered.
func awaitOutcome(t *testing.T, c *process, s service, n int, failing bool) {
	t.Helper()
	var answered, failed int
	var errs []string
	eventually(t, func() string {
		return fmt.Sprintf("of the last calls %d were answered and %d failed: %v", answered, failed, errs)
	}, func() bool {
		c.reset()
		calls := awaitMore(t, c, s, n)
		answered, failed, errs = calls.Answered, calls.Failed, calls.Errors
		return failing && answered == 0 || !failing && failed == 0
	})
}

// awaitVersion waits until only one version of a service is called.
func awaitVersion(t *testing.T, c *process, s service, version string) {
	t.Helper()
	want := service{Interface: s.Interface, Version: version}.id()
	var calls tally
	eventually(t, func() string { return fmt.Sprintf("called: %v, want %s", calls.Of, want) }, func() bool {
		c.reset()
		calls = awaitMore(t, c, s, enough)
		return len(calls.Of) == 1 && calls.Of[want] > 0
	})
}

func TestTimeoutFollowsTheOverrides(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	slow := provider(t, etcd, "a", long)
	slow.Delay = 300 * time.Millisecond
	a, c := startServing(t, slow), start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a)

	override(t, etcd, greet, ruleForAll(greet, "timeout=50"))
	awaitOutcome(t, c, greet, 5, true)
	override(t, etcd, greet, ruleForAll(greet, "timeout=2000"))
	awaitOutcome(t, c, greet, 5, false)
	override(t, etcd, greet, ruleForAll(greet, "timeout=50&application=consumer"))
	awaitOutcome(t, c, greet, 5, true)
	override(t, etcd, greet, ruleForAll(greet, "timeout=50&application=another"))
	awaitOutcome(t, c, greet, 5, false)
	override(t, etcd, greet, ruleForAll(greet, "timeout=50"))
	awaitOutcome(t, c, greet, 5, true)
	override(t, etcd, greet)
	awaitOutcome(t, c, greet, 5, false)
}

func TestWeightFollowsTheOverrides(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b, c := startServing(t, provider(t, etcd, "a", long)), startServing(t, provider(t, etcd, "b", long)), start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a, b)
	// Of one that has no weight in its configuration dubbo-go says weight=0, and
	// where all have that it chooses evenly.
	override(t, etcd, greet, ruleFor(b, greet, "weight=100"))
	awaitCalls(t, c, greet, b)
	override(t, etcd, greet, ruleForAll(greet, "weight=100"), ruleFor(b, greet, "weight=0"))
	awaitCalls(t, c, greet, a)
	override(t, etcd, greet)
	awaitCalls(t, c, greet, a, b)
}

func TestDisabledFollowsTheOverrides(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b, c := startServing(t, provider(t, etcd, "a", long)), startServing(t, provider(t, etcd, "b", long)), start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a, b)
	override(t, etcd, greet, ruleFor(a, greet, "disabled=true"))
	awaitCalls(t, c, greet, b)
	override(t, etcd, greet, ruleForAll(greet, "disabled=true"), ruleFor(a, greet, "disabled=false"))
	awaitCalls(t, c, greet, a)
	override(t, etcd, greet, ruleForAll(greet, "disabled=true"))
	awaitOutcome(t, c, greet, 5, true)
	override(t, etcd, greet)
	awaitCalls(t, c, greet, a, b)
}

// A version in a rule says which providers it is about. A consumer of any
// version is moved from one to another by disabling that.
func TestVersionFollowsTheOverrides(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	blue, green := service{Interface: "org.e2e.Greet", Version: "1.0.0"}, service{Interface: "org.e2e.Greet", Version: "2.0.0"}
	any := service{Interface: "org.e2e.Greet", Version: "*"}
	startServing(t, provider(t, etcd, "a", long, blue, green))
	c := start(t, consumer(etcd, long, any))
	awaitKeys(t, etcd, providersOf(any), 2)
	eventually(t, func() string { return "only one version is called" }, func() bool {
		c.reset()
		return len(awaitMore(t, c, any, enough).Of) == 2
	})
	off := func(s service) string { return ruleForAll(s, "disabled=true&version="+s.Version) }

	override(t, etcd, any, off(green))
	awaitVersion(t, c, any, blue.Version)
	override(t, etcd, any, off(blue))
	awaitVersion(t, c, any, green.Version)
	override(t, etcd, any, off(green))
	awaitVersion(t, c, any, blue.Version)
	override(t, etcd, any)
	eventually(t, func() string { return "only one version is called" }, func() bool {
		c.reset()
		return len(awaitMore(t, c, any, enough).Of) == 2
	})
	assert.Len(t, keys(t, etcd, providersOf(any)), 2, "each has replaced its own key, and only that")
}

func TestProviderIsAsItWasWhenItsOverridesAreGone(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := startServing(t, provider(t, etcd, "a", long))
	before := awaitProviders(t, etcd, greet, a)[0]
	requireAsBefore := func() {
		t.Helper()
		var now []key
		eventually(t, func() string { return "registered: " + describe(now) + "; want " + before.url.String() }, func() bool {
			now = keys(t, etcd, providersOf(greet))
			return len(now) == 1 && now[0].name == before.name
		})
	}
	for _, params := range []string{"timeout=2500&warmup=7", "weight=50&disabled=true", "loadbalance=roundrobin"} {
		override(t, etcd, greet, ruleForAll(greet, params))
		values, err := url.ParseQuery(params)
		require.NoError(t, err)
		for name := range values {
			awaitParam(t, etcd, name, values.Get(name))
		}
		override(t, etcd, greet)
		requireAsBefore()
	}
	// One rule is gone, the other stays.
	override(t, etcd, greet, ruleForAll(greet, "timeout=2500"), ruleFor(a, greet, "timeout=700&warmup=9"))
	awaitParam(t, etcd, "warmup", "9")
	awaitParam(t, etcd, "timeout", "700")
	override(t, etcd, greet, ruleForAll(greet, "timeout=2500"))
	awaitParam(t, etcd, "timeout", "2500")
	awaitParam(t, etcd, "warmup", before.param("warmup"))
	// All are cancelled, and are not any more.
	override(t, etcd, greet, ruleForAll(greet, "timeout=2500"), "empty://0.0.0.0/"+greet.Interface+"?category=configurators")
	requireAsBefore()
	override(t, etcd, greet, ruleForAll(greet, "timeout=2600"))
	awaitParam(t, etcd, "timeout", "2600")
	override(t, etcd, greet)
	requireAsBefore()

	// A rule whose writer is gone.
	lease, err := etcd.Client().Grant(t.Context(), 600)
	require.NoError(t, err)
	testkit.Put(t, etcd.Client(), "/dubbo/"+greet.Interface+"/configurators/"+url.QueryEscape("override://0.0.0.0/"+greet.Interface+"?category=configurators&dynamic=true&timeout=2700"), "", clientv3.WithLease(lease.ID))
	awaitParam(t, etcd, "timeout", "2700")
	testkit.Revoke(t, etcd.Client(), lease.ID)
	requireAsBefore()
}

// By itself, dubbo-go exports for the one rule, and then for the other, for
// ever.
func TestRulesThatContradictEachOtherComeToRest(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := startServing(t, provider(t, etcd, "a", long))
	awaitProviders(t, etcd, greet, a)
	h := record(t, etcd, providersOf(greet))
	override(t, etcd, greet, ruleForAll(greet, "timeout=100"), ruleForAll(greet, "timeout=200"), ruleForAll(greet, "timeout=300&priority=5"), ruleForAll(greet, "timeout=400"))
	awaitParam(t, etcd, "timeout", "300")
	time.Sleep(2 * time.Second) // in which it would export a hundred times
	assert.Equal(t, "300", keys(t, etcd, providersOf(greet))[0].param("timeout"))
	assert.Equal(t, []int{1, 1}, h.counts(etcd), "one key, and after one transaction still")
}
