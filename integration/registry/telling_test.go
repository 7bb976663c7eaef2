// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestAFloodIsDeliveredAsOneList(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	release := make(chan struct{})
	l.OnNotify = func(*registry.ServiceEvent) { <-release }
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

	quick := &testkit.Listener{} // sees everything while the other is stuck
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), quick)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	quick.RequireAddresses(t, "10.0.0.1:20000")
	registerMany(t, r, 500)
	require.True(t, testkit.Eventually(func() bool { return len(quick.Addresses()) == 501 }), "a slow listener delays no other")

	close(release)
	require.True(t, testkit.Eventually(func() bool { return len(l.Addresses()) == 501 }))
	alls, singles := l.Counts()
	assert.Equal(t, 2, alls, "the first list and the flood")
	assert.Equal(t, []string{"add 10.0.0.1:20000"}, singles)
	l.RequireNoFaults(t)
}

func TestChangesOfOneKeyCollapseForASlowListener(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	entered, released := make(chan struct{}, 1), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	l.OnNotify = func(*registry.ServiceEvent) {
		select {
		case entered <- struct{}{}:
			<-released
		default:
		}
	}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	quick := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), quick)

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.True(t, testkit.Eventually(func() bool { return len(entered) == 1 }))
	for i := range 20 {
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000", "weight", fmt.Sprint(i+1))))
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.3:20000")))
		require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.3:20000")))
	}
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000", "weight", "21")))
	require.True(t, testkit.Eventually(func() bool { // all that was before is there, too
		for _, u := range quick.URLs() {
			if u.GetParam("weight", "") == "21" {
				return true
			}
		}
		return false
	}))
	quick.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	release()
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	_, singles := l.Counts()
	assert.Equal(t, []string{"add 10.0.0.1:20000", "add 10.0.0.2:20000"}, singles)
}

func TestEveryListenerHasURLsOfItsOwn(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	vandal, other := &testkit.Listener{}, &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), vandal)
	for _, u := range vandal.URLs() {
		u.SetParam("interface", "changed")
		u.Ip = "changed"
	}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), other)
	other.RequireAddresses(t, "10.0.0.1:20000")
}

func TestAListenerThatPanicsHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	l, other := &testkit.Listener{}, &testkit.Listener{}
	l.OnNotify = func(e *registry.ServiceEvent) {
		if e.Service.Ip == "10.0.0.1" {
			panic("no such protocol")
		}
	}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), other)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	l.RequireAddresses(t, "10.0.0.2:20000")
	other.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

func TestNothingIsDeliveredAfterUnSubscribeHasReturned(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	ctx, cancel := context.WithCancel(t.Context())
	var churn sync.WaitGroup
	churn.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			u := testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.0.%d:20000", i%5))
			_ = r.Register(u)
			_ = r.UnRegister(u)
		}
	})
	for range 100 {
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		testkit.Eventually(func() bool { _, singles := l.Counts(); return len(singles) > 0 })
		require.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), l))
		l.Close()
		time.Sleep(time.Millisecond)
		l.RequireNoFaults(t)
	}
	cancel()
	churn.Wait()
}

// A provider's override listener unsubscribes itself as it exports again.
func TestAListenerMayUnSubscribeItselfAndOthersFromInside(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	a, b := &testkit.Listener{}, &testkit.Listener{}
	var inside sync.WaitGroup
	inside.Add(2)
	unsubscribeOther := func(other *testkit.Listener) func(*registry.ServiceEvent) {
		return func(*registry.ServiceEvent) {
			inside.Done()
			inside.Wait() // both are being told
			assert.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), other))
		}
	}
	a.OnNotify, b.OnNotify = unsubscribeOther(b), unsubscribeOther(a)
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), a)
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), b)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	a.RequireAddresses(t, "10.0.0.1:20000")
	b.RequireAddresses(t, "10.0.0.1:20000")

	self := &testkit.Listener{}
	self.OnNotify = func(*registry.ServiceEvent) {
		assert.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), self))
		assert.NoError(t, r.Subscribe(testkit.Consumer("org.a.Greeter", "version", "*"), self))
	}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), self)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	self.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	testkit.RequireWatchers(t, etcd, 1+3) // and of its keys
}
