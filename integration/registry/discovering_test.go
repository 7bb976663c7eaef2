// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestLoadDeliversTheProvidersBeforeItReturnsAndSubscribeGoesOnFromThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))

	l := &testkit.Listener{}
	require.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter"), l))
	assert.Equal(t, []string{"10.0.0.1:20000", "10.0.0.2:20000"}, l.Addresses())

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.3:20000")), "between the two")
	require.NoError(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), l))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000", "10.0.0.3:20000")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.4:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000", "10.0.0.3:20000", "10.0.0.4:20000")

	alls, singles := l.Counts()
	assert.Equal(t, 1, alls, "lists")
	assert.Equal(t, []string{"add 10.0.0.3:20000", "add 10.0.0.4:20000"}, singles)
	requireLists(t, etcd, 1)
}

func TestSubscribeAloneDeliversTheListFirst(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	registerMany(t, r, 30)
	l := &testkit.Listener{}
	require.NoError(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), l))
	require.True(t, testkit.Eventually(func() bool { return len(l.Addresses()) == 30 }))
	alls, singles := l.Counts()
	assert.Equal(t, 1, alls)
	assert.Empty(t, singles)
}

func TestAddUpdateAndDeleteReachTheListenerAsOneNotifyEach(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "50")))
	require.True(t, testkit.Eventually(func() bool {
		_, singles := l.Counts()
		return len(singles) == 2
	}))
	for _, u := range l.URLs() {
		assert.Equal(t, "50", u.GetParam("weight", ""))
	}
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "50")))
	l.RequireAddresses(t)

	alls, singles := l.Counts()
	assert.Equal(t, 1, alls, "the first list, which was empty")
	assert.Equal(t, []string{"add 10.0.0.1:20000", "update 10.0.0.1:20000", "delete 10.0.0.1:20000"}, singles)
}

// A provider of another client may put its new key first and delete the old
// one later, or never.
func TestDeletingTheOldKeyOfAProviderDoesNotRemoveIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	put := func(weight string) string {
		key := providersOfA + url.QueryEscape("tri://10.0.0.1:20000/org.a.Greeter?interface=org.a.Greeter&timestamp=1&weight="+weight)
		testkit.Put(t, etcd.Client(), key, "")
		return key
	}
	first := put("1")
	l.RequireAddresses(t, "10.0.0.1:20000")
	second := put("2")
	require.True(t, testkit.Eventually(func() bool { _, singles := l.Counts(); return len(singles) == 2 }))
	testkit.Delete(t, etcd.Client(), first)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000"))) // comes after it
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	testkit.Delete(t, etcd.Client(), second)
	l.RequireAddresses(t, "10.0.0.2:20000")
	_, singles := l.Counts()
	assert.Equal(t, []string{"add 10.0.0.1:20000", "update 10.0.0.1:20000", "add 10.0.0.2:20000", "delete 10.0.0.1:20000"}, singles)
}

func TestARestartedProviderIsAnotherThanTheOneBefore(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r, restarted := testkit.NewRegistry(t, etcd.Endpoint()), testkit.NewRegistry(t, etcd.Endpoint())
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "timestamp", "1")))
	require.NoError(t, restarted.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "timestamp", "2")))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.1:20000")
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "timestamp", "1")))
	l.RequireAddresses(t, "10.0.0.1:20000")
}

func TestMatching(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	for port, params := range map[string][]string{
		"1": nil,
		"2": {"group", "a"},
		"3": {"group", "b", "version", "1.0.0"},
		"4": {"version", "2.0.0"},
		"5": {"enabled", "false"},
		"6": {"classifier", "c"},
	} {
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:"+port, params...)))
	}
	require.NoError(t, r.Register(testkit.ServiceURL("dubbo", "org.a.Greeter", "10.0.0.1:7", "registry.role", "3")))

	for _, tc := range []struct {
		params []string
		want   []string
	}{
		{nil, []string{"1", "6"}},
		{[]string{"group", "a"}, []string{"2"}},
		{[]string{"group", "a,b"}, []string{"2"}},
		{[]string{"group", "a,b", "version", "*"}, []string{"2", "3"}},
		{[]string{"group", "*"}, []string{"1", "2", "6"}},
		{[]string{"version", "2.0.0"}, []string{"4"}},
		{[]string{"version", "3.0.0"}, nil},
		{[]string{"group", "*", "version", "*"}, []string{"1", "2", "3", "4", "6"}},
		{[]string{"group", "*", "version", "*", "enabled", "*"}, []string{"1", "2", "3", "4", "5", "6"}},
		{[]string{"classifier", "c"}, []string{"6"}},
		{[]string{"category", "configurators"}, nil},
		{[]string{"category", "configurators,providers"}, []string{"1", "6"}},
		{[]string{"category", "*"}, []string{"1", "6"}},
		{[]string{"category", "-providers"}, nil},
	} {
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", tc.params...), l)
		var ports []string
		for _, u := range l.URLs() {
			ports = append(ports, u.Port)
		}
		slices.Sort(ports)
		assert.Equal(t, tc.want, ports, "%v", tc.params)
	}

	any := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.ServiceURL("consumer", "org.a.Greeter", ""), any)
	any.RequireAddresses(t, "10.0.0.1:1", "10.0.0.1:6", "10.0.0.1:7")
}

func TestServicesWhoseNamesArePrefixesOfEachOtherAreNotMixedUp(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	services := []string{"org.a.Greeter", "org.a.Greeter2", "org.a.GreeterAdmin", "org.a.Greet"}
	listeners := map[string]*testkit.Listener{}
	for i, s := range services {
		require.NoError(t, r.Register(testkit.Provider(s, fmt.Sprintf("10.0.0.%d:1", i))))
		listeners[s] = &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer(s), listeners[s])
	}
	for i, s := range services {
		require.NoError(t, r.Register(testkit.Provider(s, fmt.Sprintf("10.0.0.%d:2", i))))
	}
	for i, s := range services {
		listeners[s].RequireAddresses(t, fmt.Sprintf("10.0.0.%d:1", i), fmt.Sprintf("10.0.0.%d:2", i))
	}
}

func TestEveryListenerConvergesWhileTenWritersAddAndRemove(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	reader := testkit.NewRegistry(t, etcd.Endpoint())
	services := []string{"org.a.Greeter", "org.a.Greeter2"}
	listeners := map[string][]*testkit.Listener{}
	for _, s := range services {
		for range 3 {
			l := &testkit.Listener{}
			listeners[s] = append(listeners[s], l)
			testkit.Subscribe(t, reader, testkit.Consumer(s), l)
		}
	}

	const writers, adds, removals = 10, 50, 25 // each
	var left sync.Map                          // service and address of what stays
	var work errgroup.Group
	for w := range writers {
		r := testkit.NewRegistry(t, etcd.Endpoint())
		work.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			var mine []*common.URL
			for i := range adds {
				u := testkit.Provider(services[random.IntN(2)], fmt.Sprintf("10.%d.0.%d:20000", w, i))
				if err := r.Register(u); err != nil {
					return err
				}
				mine = append(mine, u)
				if i%2 == 1 && i/2 < removals {
					victim := random.IntN(len(mine))
					if err := r.UnRegister(mine[victim]); err != nil {
						return err
					}
					mine = slices.Delete(mine, victim, victim+1)
				}
			}
			for _, u := range mine {
				left.Store(u.Service()+" "+u.Address(), u)
			}
			return nil
		})
	}
	late := &testkit.Listener{} // one that comes in the middle
	testkit.Subscribe(t, reader, testkit.Consumer(services[0]), late)
	listeners[services[0]] = append(listeners[services[0]], late)
	require.NoError(t, work.Wait())

	want := map[string][]string{}
	left.Range(func(_, u any) bool {
		s := u.(*common.URL).Service()
		want[s] = append(want[s], u.(*common.URL).Address())
		return true
	})
	require.Equal(t, writers*(adds-removals), len(want[services[0]])+len(want[services[1]]))
	for s, ls := range listeners {
		for _, l := range ls {
			l.RequireAddresses(t, want[s]...)
			for _, u := range l.URLs() {
				require.Equal(t, s, u.Service())
			}
		}
	}
}

func TestKeysThatAreNoURLsAreSkipped(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	put := func(key string) { testkit.Put(t, etcd.Client(), key, "x") }
	garbage := []string{"", "garbage", "%zz", "%", "tri%3A%2F%2F", "tri%3A%2F%2F%5B%3A%3A1", "://", "tri://10.0.0.9:1/x?y=z", "\xff\xfe", "a/b/c", "tri%3A%2F%2F10.0.0.1%3A1%3A1"}
	for _, g := range garbage {
		put(providersOfA + g)
	}
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	l.RequireAddresses(t, "10.0.0.1:20000")
	put(providersOfA + "more%20garbage")
	testkit.Delete(t, etcd.Client(), providersOfA+"garbage")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
	_, singles := l.Counts()
	assert.Len(t, singles, 1)
}

func TestSubscribingWithoutAListenerOrWithOneThatCannotBeComparedIsAnError(t *testing.T) {
	t.Parallel()
	r := testkit.NewRegistry(t, "127.0.0.1:1")
	assert.ErrorContains(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), nil), "no listener")
	assert.ErrorContains(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), sliceListener{}), "use a pointer")
	assert.ErrorContains(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), sliceListener{}), "use a pointer")
}

type sliceListener []int

func (sliceListener) Notify(*registry.ServiceEvent) {}

func (sliceListener) NotifyAll([]*registry.ServiceEvent, func()) {}

// providerKey is the key of provider i of org.a.Greeter, 500 bytes or so, as
// real ones are.
func providerKey(i int, protocol string) string {
	return providersOfA + url.QueryEscape(fmt.Sprintf("%s://10.%d.%d.%d:20000/org.a.Greeter?anyhost=true&app.version=3.3.2&application=greeter-provider"+
		"&bean.name=GreeterProvider&cluster=failover&environment=production&export=true&interface=org.a.Greeter&loadbalance=random&methods=Greet"+
		"&module=greeter&name=greeter-provider&organization=dubbo-go&owner=dubbo-go&pid=1&registry.role=3&release=dubbo-golang-3.3.2&retries=2"+
		"&serialization=protobuf&side=provider&timestamp=1700000000&warmup=100&weight=100", protocol, i/65536, i/256%256, i%256))
}

// putProviders puts n of them, without a lease.
func putProviders(t testing.TB, client *clientv3.Client, n int, protocol string) {
	t.Helper()
	for i := 0; i < n; i += 100 {
		var puts []clientv3.Op
		for j := i; j < min(i+100, n); j++ {
			puts = append(puts, clientv3.OpPut(providerKey(j, protocol), ""))
		}
		_, err := client.Txn(context.Background()).Then(puts...).Commit()
		require.NoError(t, err)
	}
}
