// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

var withPrefix = clientv3.WithPrefix()

func putProvider(t testing.TB, client *clientv3.Client, i int) {
	t.Helper()
	_, err := client.Put(t.Context(), providerKey(i, "tri"), "")
	require.NoError(t, err)
}

func address(i int) string { return fmt.Sprintf("10.0.0.%d:20000", i) }

func TestAConsumerFollowsAnEtcdThatWasEmptied(t *testing.T) {
	t.Parallel()
	for name, writes := range map[string]int{"whose revision is behind": 2, "whose revision has caught up": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			for i := range 20 {
				putProvider(t, etcd.Client(), i)
			}
			r := newRegistry(t, proxy.Addr(), "session", "2s") // what is missing is kept that long
			l, empty := newListener(), newListener()
			loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
			loadAndSubscribe(t, r, consumer("org.a.Greeter", "category", "configurators"), empty)
			require.Len(t, l.addresses(), 20)

			proxy.Cut()
			etcd.Wipe()
			for i := range writes { // whoever else is there is back first
				putProvider(t, etcd.Client(), 100+i%2)
			}
			proxy.Restore()
			l.requireAddresses(t, address(100), address(101))

			putProvider(t, etcd.Client(), 102)
			l.requireAddresses(t, address(100), address(101), address(102))
			require.NoError(t, r.Register(provider("org.a.Greeter", "10.9.9.9:20000")))
			l.requireAddresses(t, address(100), address(101), address(102), "10.9.9.9:20000")
		})
	}
}

func TestAReconnectedConsumerDoesNotListAgainWhenNothingHappened(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	for i := range 20 {
		putProvider(t, etcd.Client(), i)
	}
	r := newRegistry(t, proxy.Addr())
	listeners := make([]*listener, 10)
	for i := range listeners {
		listeners[i] = newListener()
		loadAndSubscribe(t, r, consumer("org.a.Greeter", "category", []string{"providers", "configurators", "routers", "consumers"}[i%4]), listeners[i])
	}
	before := etcd.Metrics()
	proxy.Cut()
	proxy.Restore()
	putProvider(t, etcd.Client(), 50)
	require.True(t, eventually(func() bool { return len(listeners[0].addresses()) == 21 }))
	require.True(t, eventually(func() bool { return etcd.Metrics().Requests("Txn") > before.Requests("Txn") }), "it asks whether etcd is the same")
	after := etcd.Metrics()
	assert.LessOrEqual(t, after.Requests("Txn")-before.Requests("Txn"), 2, "one question for all prefixes")
	assert.Equal(t, before.Requests("Range"), after.Requests("Range"))
}

func TestAConsumerFollowsABackupThatIsOlderThanTheLastDeletion(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	putProvider(t, etcd.Client(), 1)
	putProvider(t, etcd.Client(), 2)
	r := newRegistry(t, proxy.Addr(), "file-cache", "false", "session", "2s")
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	_, err := etcd.Client().Delete(t.Context(), providerKey(2, "tri"))
	require.NoError(t, err)
	l.requireAddresses(t, address(1))

	proxy.Cut()
	etcd.Wipe()
	for i := 1; i <= 3; i++ { // two that the backup has, and one written since
		putProvider(t, etcd.Client(), i)
	}
	_, err = etcd.Client().Put(t.Context(), "/other", "") // past the old revision
	require.NoError(t, err)
	proxy.Restore()
	l.requireAddresses(t, address(1), address(2), address(3))
	putProvider(t, etcd.Client(), 4)
	l.requireAddresses(t, address(1), address(2), address(3), address(4))
}

// The owners of what an emptied etcd lacks may only not have noticed yet.
func TestAConsumerKeepsItsProvidersForASessionWhenEtcdWasEmptied(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	providers := newRegistry(t, etcd.Endpoint(), "session", "4s", "file-cache", "false")
	require.NoError(t, providers.Register(provider("org.a.Greeter", "10.9.9.9:1")))
	putProvider(t, etcd.Client(), 1) // one that does not come back
	r := newRegistry(t, proxy.Addr(), "session", "4s", "file-cache", "false")
	l := newListener()
	removed := make(chan string, 10)
	l.onNotify = func(e *registry.ServiceEvent) {
		if e.Action == remoting.EventTypeDel {
			removed <- e.Service.Address()
		}
	}
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	l.requireAddresses(t, address(1), "10.9.9.9:1")
	etcd.Wipe()
	l.requireAddresses(t, "10.9.9.9:1")
	assert.Equal(t, address(1), <-removed)
	assert.Empty(t, removed, "the one that came back was never away")
}
