// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
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

// rule is an override of Dubbo 2.6, as the framework understands it. What Java
// writes besides is in TestOverrideIsReadAsJavaWritesIt.
func rule(s service, params string) string {
	return "override://0.0.0.0:0/" + s.Interface + "?category=configurators&enabled=true&interface=" + s.Interface + "&" + params
}

// override makes these the rules of a service, in place of all others, as an
// operator or an old dubbo-admin does.
func override(t *testing.T, etcd *etcdtest.Server, s service, rules ...string) {
	t.Helper()
	prefix := "/dubbo/" + s.Interface + "/configurators/"
	old := testkit.List(t, etcd.Client(), prefix)
	changes := map[string]clientv3.Op{}
	for _, kv := range old.Kvs {
		changes[string(kv.Key)] = clientv3.OpDelete(string(kv.Key))
	}
	for _, rule := range rules {
		key := prefix + url.QueryEscape(rule)
		changes[key] = clientv3.OpPut(key, "")
	}
	_, err := etcd.Client().Txn(t.Context()).Then(slices.Collect(maps.Values(changes))...).Commit()
	require.NoError(t, err)
}

// startServing returns when a provider has started completely. While it starts,
// dubbo-go cannot bear an override: it takes the service out of the map to which
// it adds its own, without a lock, and about one start in a hundred ends with a
// panic in common.(*serviceMap).Register. Such a start is made again.
func startServing(t *testing.T, s spec) *process {
	t.Helper()
	p := start(t, s)
	eventually(t, func() string { return s.Name + " has not started: " + p.tail() }, func() bool {
		log, err := os.ReadFile(p.log())
		require.NoError(t, err)
		if strings.Contains(string(log), "common.(*serviceMap).Register") {
			t.Logf("dubbo-go panicked, starting %s again", s.Name)
			p.kill()
			p = start(t, s)
			return false
		}
		return strings.Contains(string(log), "[Triple] export service: tri://"+s.Address+"/grpc.reflection")
	})
	return p
}

// awaitParam waits until the one provider is registered with a parameter.
func awaitParam(t *testing.T, etcd *etcdtest.Server, name, want string) key {
	t.Helper()
	var found []key
	eventually(t, func() string { return "registered: " + describe(found) + "; want " + name + "=" + want }, func() bool {
		found = keys(t, etcd, providersOf(greet))
		return len(found) == 1 && found[0].param(name) == want
	})
	return found[0]
}

func describe(keys []key) string {
	text := ""
	for _, k := range keys {
		text += k.url.String() + " "
	}
	return text
}

func TestOverrideReplacesTheProvidersKeyInOneTransaction(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, c := startServing(t, provider(t, etcd, "a", long)), start(t, consumer(etcd, long))
	before := awaitProviders(t, etcd, greet, a)[0]
	awaitCalls(t, c, greet, a)
	c.reset()
	h := record(t, etcd, providersOf(greet))

	override(t, etcd, greet, rule(greet, "timeout=2500"))
	after := awaitParam(t, etcd, "timeout", "2500")
	assert.Equal(t, before.lease, after.lease)
	assert.Equal(t, before.url.Host, after.url.Host)
	// The framework subscribed again from inside the notification: the next
	// rules come through, as well.
	override(t, etcd, greet, rule(greet, "warmup=7"))
	awaitParam(t, etcd, "warmup", "7")
	override(t, etcd, greet, rule(greet, "timeout=2600"))
	awaitParam(t, etcd, "timeout", "2600")
	awaitMore(t, c, greet, enough)
	assert.Equal(t, []int{1, 1, 1, 1}, h.counts(etcd), "one key after each transaction, one transaction a rule")

	awaitMore(t, c, greet, enough)
	awaitCalls(t, c, greet, a)
	requireNoFailure(t, c)

	a.terminate()
	a.awaitEnd()
	assert.Empty(t, keys(t, etcd, providersOf(greet)))
}

func TestOverrideThatIsThereFirstHoldsForProvidersThatCome(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	override(t, etcd, greet, rule(greet, "timeout=2500"))
	c := start(t, consumer(etcd, long))
	a := startServing(t, provider(t, etcd, "a", long))
	awaitParam(t, etcd, "timeout", "2500")
	awaitCalls(t, c, greet, a)
	c.reset()
	awaitMore(t, c, greet, enough)
	requireNoFailure(t, c)
}

// Java writes no port into a rule for all addresses, and need not repeat the
// interface among the parameters.
func TestOverrideIsReadAsJavaWritesIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := startServing(t, provider(t, etcd, "a", long))
	awaitProviders(t, etcd, greet, a)
	override(t, etcd, greet, "override://0.0.0.0/"+greet.Interface+"?category=configurators&dynamic=false&enabled=true&timeout=2500")
	awaitParam(t, etcd, "timeout", "2500")
}

// A rule that stays when its writer goes says dynamic=false of itself. The
// provider that it is merged into still goes with its process.
func TestProviderWithAPersistentOverrideIsGoneAfterACrash(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := startServing(t, provider(t, etcd, "a", short))
	before := awaitProviders(t, etcd, greet, a)[0]
	override(t, etcd, greet, rule(greet, "dynamic=false&timeout=2500"))
	after := awaitParam(t, etcd, "timeout", "2500")
	assert.Equal(t, before.lease, after.lease)
	a.kill()
	killed := time.Now()
	awaitProviders(t, etcd, greet)
	assert.Less(t, time.Since(killed), short+slack)
}
