// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestOneWatchServesAllListenersOfAPrefixAndEndsWithTheLast(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r, other := testkit.NewRegistry(t, etcd.Endpoint()), testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	var listeners []*testkit.Listener
	for i := range 10 {
		l := &testkit.Listener{}
		listeners = append(listeners, l)
		testkit.Subscribe(t, []registry.Registry{r, other}[i%2], testkit.Consumer("org.a.Greeter"), l)
		l.RequireAddresses(t, "10.0.0.1:20000")
	}
	testkit.RequireWatchers(t, etcd, 1+2) // and of its keys
	requireLists(t, etcd, 1)

	configurators := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "configurators"), configurators)
	testkit.RequireWatchers(t, etcd, 2+2)

	for i, l := range listeners[1:] {
		require.NoError(t, []registry.Registry{other, r}[i%2].UnSubscribe(testkit.Consumer("org.a.Greeter"), l))
	}
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	listeners[0].RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	for _, l := range listeners[1:] {
		assert.Equal(t, []string{"10.0.0.1:20000"}, l.Addresses(), "it was unsubscribed before")
	}
	_, singles := configurators.Counts()
	assert.Empty(t, singles, "providers are not its category")

	require.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), listeners[0]))
	require.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter", "category", "configurators"), configurators))
	testkit.RequireWatchers(t, etcd, 0+3)
}

func TestChurnOfOneCategoryDoesNotReachAnother(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	reader, writer := testkit.NewRegistry(t, proxy.Addr()), testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	testkit.Subscribe(t, reader, testkit.Consumer("org.a.Greeter"), l)
	for i := range 50 {
		u := testkit.Consumer("org.a.Greeter", "timeout", fmt.Sprint(i))
		require.NoError(t, writer.Register(u))
	}
	require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000")
	alls, singles := l.Counts()
	assert.Equal(t, 1, alls)
	assert.Len(t, singles, 1)
}

func TestALargeServiceIsListedInPagesAtOneRevision(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	const n = 12_000
	putProviders(t, etcd.Client(), n, "tri")
	before := etcd.Metrics().Requests("Range")

	ctx, cancel := context.WithCancel(t.Context())
	var churn sync.WaitGroup
	churn.Go(func() { // at both ends of the list, while it is read
		for ctx.Err() == nil {
			_, _ = etcd.Client().Put(ctx, providerKey(0, "tri")+"-x", "")
			_, _ = etcd.Client().Delete(ctx, providerKey(0, "tri")+"-x")
		}
	})
	r := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "30s")
	l := &testkit.Listener{}
	require.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter"), l))
	cancel()
	churn.Wait()
	assert.InDelta(t, n, len(l.Addresses()), 1)
	requireLists(t, etcd, before+3) // pages of 5000
}

func TestAWatchBehindACompactionListsAgain(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	reader, writer := testkit.NewRegistry(t, proxy.Addr()), testkit.NewRegistry(t, etcd.Endpoint())
	for i := range 5 {
		require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.0.%d:20000", i))))
	}
	l := &testkit.Listener{}
	testkit.Subscribe(t, reader, testkit.Consumer("org.a.Greeter"), l)

	proxy.Cut()
	require.NoError(t, writer.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.0:20000")))
	require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "9")))
	require.NoError(t, writer.Register(testkit.Provider("org.a.Greeter", "10.0.0.7:20000")))
	etcd.Compact(testkit.Revision(t, etcd.Client()))
	assert.Len(t, l.Addresses(), 5, "cut off, it keeps what it knows")
	proxy.Restore()

	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000", "10.0.0.3:20000", "10.0.0.4:20000", "10.0.0.7:20000")
	alls, singles := l.Counts()
	assert.Equal(t, 1, alls)
	assert.Len(t, singles, 3, "only what differs: %v", singles)
}
