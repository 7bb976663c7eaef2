// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// The tests here are not parallel: graceful shutdown ends everything that this
// process has registered.

// shutDown does what the framework does on its way out.
func shutDown() {
	for callback := extension.GetAllCustomShutdownCallbacks().Front(); callback != nil; callback = callback.Next() {
		callback.Value.(func())()
	}
}

func TestTheShutdownCallbackTakesAllKeysAwayAtOnce(t *testing.T) {
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "session", "10m")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, r.Register(testkit.Consumer("org.b.Other")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

	shutDown()
	all := testkit.Keys(t, etcd.Client(), "")
	assert.Len(t, all, 2, "%v", all) // the keys of the interfaces
	leases := testkit.Leases(t, etcd.Client())
	assert.Empty(t, leases)
	l.RequireAddresses(t) // it hears of it, too

	assert.ErrorContains(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.3:20000")), "shutting down")
	assert.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
}

func TestShutdownWaitsForNoEtcdBeforeItLeavesTheOthers(t *testing.T) {
	var all []*etcdtest.Server
	var first *etcdtest.Proxy
	for i := range 5 {
		etcd := etcdtest.Start(t)
		proxy := etcdtest.NewProxy(t, etcd.Endpoint())
		r := testkit.NewRegistry(t, proxy.Addr(), "session", "10m", "registry.timeout", "2s")
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.0.%d:20000", i))))
		if i == 0 {
			first = proxy
		} else {
			all = append(all, etcd)
		}
	}
	first.Freeze()
	defer first.Thaw()

	shutDown()
	for i, etcd := range all {
		assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), "etcd %d is well", i+1)
	}
}

func TestProcessThatLivesOnAfterTheShutdownCallbackRegistersUnderAnotherLease(t *testing.T) {
	etcd := etcdtest.Start(t)
	older := testkit.NewRegistry(t, etcd.Endpoint(), "session", "10m")
	require.NoError(t, older.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, older, testkit.Consumer("org.a.Greeter"), l)
	shutDown()

	newer := testkit.NewRegistry(t, etcd.Endpoint(), "session", "20s")
	require.NoError(t, newer.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	l.RequireAddresses(t, "10.0.0.2:20000") // who watched before goes on
	leases := testkit.Leases(t, etcd.Client())
	require.Len(t, leases, 1)
	ttl, err := etcd.Client().TimeToLive(context.Background(), leases[0])
	require.NoError(t, err)
	assert.EqualValues(t, 20, ttl.GrantedTTL, "its own session")

	older.Destroy()
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 1, "the end of the older one is not its own")
	shutDown()
	assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"))
}
