// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// other is what a provider consumes itself.
var other = service{Interface: "org.e2e.Other"}

func TestStoppingProviderIsUnregisteredBeforeItEndsAndNoCallFails(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	both := provider(t, etcd, "a", long)
	both.References = []service{other}
	a, b := start(t, both), start(t, provider(t, etcd, "b", long, greet, other))
	c := start(t, consumer(etcd, long))
	registered := awaitProviders(t, etcd, greet, a, b)
	consuming := awaitKeys(t, etcd, consumersOf(other), 1)[0]
	awaitCalls(t, c, greet, a, b)
	awaitCalls(t, a, other, b)
	c.reset()
	var stopped, remaining key
	for _, k := range registered {
		if k.url.Host == a.Address {
			stopped = k
		} else {
			remaining = k
		}
	}
	require.Equal(t, stopped.lease, consuming.lease, "one lease a process")
	all := record(t, etcd, "/dubbo/")

	a.terminate()
	a.awaitEnd()
	// The consumer's key goes with the lease, on the way out. That the provider's
	// has a transaction of its own, before, is what the consumers need.
	left, gone := all.deletedAt(etcd, stopped.name), all.deletedAt(etcd, consuming.name)
	assert.NotZero(t, left, "the provider's key has been deleted")
	assert.NotZero(t, gone, "the consumer's key has been deleted")
	assert.Less(t, left, gone, "the provider's key went first")
	requireLeases(t, etcd, remaining, awaitKeys(t, etcd, consumersOf(greet), 1)[0])

	awaitCalls(t, c, greet, b)
	requireNoFailure(t, c)
}

// dubbo-go unregisters a provider that it is still registering with no URL.
func TestProviderStoppedWhileItRegistersEnds(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	etcd.Pause() // registering takes as long as the registry's timeout
	a := start(t, provider(t, etcd, "a", long))
	eventually(t, func() string { return "it does not export its service" }, func() bool {
		log, err := os.ReadFile(a.log())
		require.NoError(t, err)
		return strings.Contains(string(log), "[Triple] export service: tri://"+a.Address+"/"+greet.Interface)
	})
	a.terminate()
	eventually(t, func() string { return "it is not being stopped" }, func() bool {
		log, err := os.ReadFile(a.log())
		require.NoError(t, err)
		return strings.Contains(string(log), "unregister exported services from registries")
	})
	etcd.Resume()
	a.awaitEnd()
	eventually(t, func() string { return "leases are left" }, func() bool { return len(testkit.Leases(t, etcd.Client())) == 0 })
	assert.Empty(t, keys(t, etcd, providersOf(greet)))
}

func TestStoppingConsumerIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, provider(t, etcd, "a", long))
	registered := awaitProviders(t, etcd, greet, a)
	c := start(t, consumer(etcd, long))
	awaitCalls(t, c, greet, a)
	awaitKeys(t, etcd, consumersOf(greet), 1)

	c.terminate()
	c.awaitEnd()
	assert.Empty(t, keys(t, etcd, consumersOf(greet)))
	requireLeases(t, etcd, registered...)
}

func TestKilledProviderIsGoneWithinItsSession(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", short)), start(t, provider(t, etcd, "b", short))
	c := start(t, consumer(etcd, short))
	awaitCalls(t, c, greet, a, b)
	c.reset()

	a.kill()
	killed := time.Now()
	awaitProviders(t, etcd, greet, b)
	assert.Less(t, time.Since(killed), short+slack)
	awaitCalls(t, c, greet, b)
	requireNoFailure(t, c) // the other provider took over what failed
}

func TestProviderPausedForLongerThanItsSessionReturns(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", short)), start(t, provider(t, etcd, "b", short))
	calling := consumer(etcd, short)
	calling.Timeout = time.Second // of the calls that the paused provider does not answer
	c := start(t, calling)
	var old key
	for _, k := range awaitProviders(t, etcd, greet, a, b) {
		if k.url.Host == a.Address {
			old = k
		}
	}
	awaitCalls(t, c, greet, a, b)
	c.reset()

	a.freeze()
	awaitProviders(t, etcd, greet, b)
	awaitCalls(t, c, greet, b)
	requireNoFailure(t, c)

	a.thaw()
	var returned key
	for _, k := range awaitProviders(t, etcd, greet, a, b) {
		if k.url.Host == a.Address {
			returned = k
		}
	}
	assert.Equal(t, old.name, returned.name)
	assert.NotEqual(t, old.lease, returned.lease)
	awaitCalls(t, c, greet, a, b)
	requireNoFailure(t, c)
}

func TestPausedConsumerSeesWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, provider(t, etcd, "a", long))
	c := start(t, consumer(etcd, short))
	awaitCalls(t, c, greet, a)
	old := awaitKeys(t, etcd, consumersOf(greet), 1)[0]

	c.freeze()
	b := start(t, provider(t, etcd, "b", long))
	awaitProviders(t, etcd, greet, a, b)
	a.terminate()
	a.awaitEnd()
	awaitKeys(t, etcd, consumersOf(greet), 0)
	c.thaw()
	awaitCalls(t, c, greet, b)
	returned := awaitKeys(t, etcd, consumersOf(greet), 1)[0]
	assert.Equal(t, old.name, returned.name)
	assert.NotEqual(t, old.lease, returned.lease)
}

func TestNoCallFailsDuringARollingRestart(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	var providers []*process
	for i := range 3 {
		providers = append(providers, start(t, provider(t, etcd, fmt.Sprintf("p%d", i), long)))
	}
	calling := consumer(etcd, long)
	calling.Callers = 4
	c := start(t, calling)
	awaitCalls(t, c, greet, providers...)
	c.reset()
	for i, p := range providers {
		p.terminate()
		p.awaitEnd()
		again := p.spec // the same name at the same address
		providers[i] = start(t, again)
		awaitProviders(t, etcd, greet, providers...)
		awaitCalls(t, c, greet, providers...)
	}
	requireNoFailure(t, c)
	assert.Len(t, testkit.Leases(t, etcd.Client()), 4, "one a process that runs")
}
