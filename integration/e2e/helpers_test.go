// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// long is a session that no test lives to see the end of: what goes before
	// goes because it was deleted.
	long = 10 * time.Minute
	// short is a session that a test waits for.
	short = 2 * time.Second
	// medium is a session that a test waits for, and long enough that leases are
	// taken again within it when etcd is back.
	medium = 5 * time.Second
	// slack is how much later than its session an expired lease may be seen to be
	// gone: etcd looks twice a second, on a busy machine.
	slack = 10 * time.Second
	// enough is how many calls show whom a consumer calls: where it chooses
	// among three at random, one of them is missed 1 time in 10^14.
	enough = 80
)

// eventually waits for a condition. what says what it saw last. Most conditions
// ask processes: they are not looked at all the time.
func eventually(t testing.TB, what func() string, condition func() bool) {
	t.Helper()
	if _, ok := testkit.Poll(testkit.Patience, 40*time.Millisecond, condition); !ok {
		require.Fail(t, "it did not happen", "%s", what())
	}
}

// address returns a loopback address that no other test is given until t ends.
func address(t testing.TB) string { return etcdtest.Reserve(t).Endpoint() }

// provider is one that serves the services (none: greet) at an address of its
// own.
func provider(t testing.TB, etcd *etcdtest.Server, name string, session time.Duration, services ...service) spec {
	if len(services) == 0 {
		services = []service{greet}
	}
	return spec{
		Name:       name,
		Registries: []registrySpec{{Address: etcd.Endpoint(), Session: session}},
		Address:    address(t),
		Services:   services,
	}
}

// consumer is one that calls the services (none: greet).
func consumer(etcd *etcdtest.Server, session time.Duration, services ...service) spec {
	if len(services) == 0 {
		services = []service{greet}
	}
	return spec{
		Name:       "consumer",
		Registries: []registrySpec{{Address: etcd.Endpoint(), Session: session}},
		References: services,
	}
}

// key is a key of a category, taken apart.
type key struct {
	name  string
	url   *url.URL
	lease clientv3.LeaseID
}

func (k key) param(name string) string { return k.url.Query().Get(name) }

// keys returns the keys of one category of a service.
func keys(t testing.TB, etcd *etcdtest.Server, prefix string) []key {
	t.Helper()
	var found []key
	for _, kv := range testkit.List(t, etcd.Client(), prefix).Kvs {
		found = append(found, parseKey(t, string(kv.Key), clientv3.LeaseID(kv.Lease)))
	}
	return found
}

func parseKey(t testing.TB, name string, lease clientv3.LeaseID) key {
	t.Helper()
	decoded, err := url.QueryUnescape(name[strings.LastIndex(name, "/")+1:])
	require.NoError(t, err)
	u, err := url.Parse(decoded)
	require.NoError(t, err)
	return key{name, u, lease}
}

func providersOf(s service) string { return "/dubbo/" + s.Interface + "/providers/" }
func consumersOf(s service) string { return "/dubbo/" + s.Interface + "/consumers/" }

func addressesOf(keys []key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.url.Host)
	}
	slices.Sort(all)
	return all
}

// awaitProviders waits until exactly these processes are registered for a
// service, and returns their keys.
func awaitProviders(t testing.TB, etcd *etcdtest.Server, s service, ps ...*process) []key {
	t.Helper()
	var want []string
	for _, p := range ps {
		want = append(want, p.Address)
	}
	slices.Sort(want)
	var found []key
	eventually(t, func() string { return fmt.Sprintf("registered: %v, want %v", addressesOf(found), want) }, func() bool {
		found = keys(t, etcd, providersOf(s))
		return slices.Equal(addressesOf(found), want)
	})
	return found
}

// awaitKeys waits until there are n keys with a prefix.
func awaitKeys(t testing.TB, etcd *etcdtest.Server, prefix string, n int) []key {
	t.Helper()
	var found []key
	eventually(t, func() string { return fmt.Sprintf("keys of %s: %v, want %d", prefix, found, n) }, func() bool {
		found = keys(t, etcd, prefix)
		return len(found) == n
	})
	return found
}

// awaitCalls waits until a consumer calls exactly these processes, all of them.
func awaitCalls(t testing.TB, c *process, s service, ps ...*process) {
	t.Helper()
	var want []string
	for _, p := range ps {
		want = append(want, p.Name)
	}
	slices.Sort(want)
	var seen string
	eventually(t, func() string { return fmt.Sprintf("of the last %d calls: %s; want answers by %v", enough, seen, want) }, func() bool {
		before := c.calls(s)
		after := awaitMore(t, c, s, enough)
		var by []string
		for name, n := range after.By {
			if n > before.By[name] {
				by = append(by, name)
			}
		}
		slices.Sort(by)
		seen = fmt.Sprintf("%v answered, %d failed %v", by, after.Failed-before.Failed, after.Errors)
		return slices.Equal(by, want)
	})
}

// awaitMore waits until a consumer has made n more calls.
func awaitMore(t testing.TB, c *process, s service, n int) tally {
	t.Helper()
	begin := c.calls(s)
	now := begin
	eventually(t, func() string {
		return fmt.Sprintf("%d answers and %d failures, since %d and %d: %v", now.Answered, now.Failed, begin.Answered, begin.Failed, now.Errors)
	}, func() bool {
		now = c.calls(s)
		return now.Answered+now.Failed >= begin.Answered+begin.Failed+n
	})
	return now
}

// awaitLog waits for text in the log of a process.
func awaitLog(t testing.TB, p *process, text string) {
	t.Helper()
	eventually(t, func() string { return fmt.Sprintf("%s does not log %q", p.Name, text) }, func() bool {
		log, err := os.ReadFile(p.log())
		require.NoError(t, err)
		return strings.Contains(string(log), text)
	})
}

// requireNoFailure fails if a call of the consumer failed since its reset.
func requireNoFailure(t testing.TB, c *process) {
	t.Helper()
	for id, calls := range c.report().Tallies {
		require.Zero(t, calls.Failed, "failed calls of %s, while %d were answered: %v", id, calls.Answered, calls.Errors)
		require.NotZero(t, calls.Answered, "%s was not called", id)
	}
}

// requireLeases checks that etcd knows exactly the leases of these keys.
func requireLeases(t testing.TB, etcd *etcdtest.Server, of ...key) {
	t.Helper()
	want := map[clientv3.LeaseID]bool{}
	for _, k := range of {
		want[k.lease] = true
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), testkit.Leases(t, etcd.Client()))
}
