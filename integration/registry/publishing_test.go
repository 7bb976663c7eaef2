// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestProviderIsRegisteredUnderJavasKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "version", "1.0.0", "group", "g")))

	response := testkit.Get(t, etcd.Client(), "", clientv3.WithFromKey())
	require.Len(t, response.Kvs, 2, "the interface's key and the provider's, and no other")
	parent, key := response.Kvs[0], response.Kvs[1]
	assert.Equal(t, "/dubbo/org.a.Greeter", string(parent.Key))
	assert.Zero(t, parent.Lease, "the interface's key has no lease")
	assert.Equal(t, "/dubbo/org.a.Greeter/providers/tri%3A%2F%2F10.0.0.1%3A20000%2Forg.a.Greeter%3Fanyhost%3Dtrue%26group%3Dg"+
		"%26interface%3Dorg.a.Greeter%26methods%3DGreet%26registry.role%3D3%26side%3Dprovider%26timestamp%3D1700000000%26token%3Ds3cret-t0ken%26version%3D1.0.0", string(key.Key))
	assert.NotZero(t, key.Lease)
	assert.Equal(t, fmt.Sprint(key.Lease), string(key.Value), "Java writes the lease id in decimal")
	assert.Equal(t, parent.ModRevision, key.ModRevision, "both are written in one transaction")

	lease, err := etcd.Client().TimeToLive(t.Context(), clientv3.LeaseID(key.Lease))
	require.NoError(t, err)
	assert.EqualValues(t, 30, lease.GrantedTTL, "the default of session")
}

func TestConsumerIsRegisteredUnderJavasKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	u := testkit.Consumer("org.a.Greeter")
	u.Ip = "10.0.0.9"
	require.NoError(t, r.Register(u))
	found := testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/")
	assert.Equal(t, []string{"/dubbo/org.a.Greeter/consumers/consumer://10.0.0.9/org.a.Greeter?category=consumers&check=false" +
		"&interface=org.a.Greeter&protocol=tri&registry.role=0&side=consumer&timestamp=1700000000&token=s3cret-t0ken"}, slices.Collect(maps.Keys(found)))
}

func TestExistingInterfaceKeyIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	put, err := etcd.Client().Put(t.Context(), "/dubbo/org.a.Greeter", "1234567") // as Java does
	require.NoError(t, err)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))

	response := testkit.Get(t, etcd.Client(), "/dubbo/org.a.Greeter")
	assert.Equal(t, "1234567", string(response.Kvs[0].Value))
	assert.Equal(t, put.Header.Revision, response.Kvs[0].ModRevision)
}

func TestGroupAndNamespaceAreThePrefixOfEveryKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for _, tc := range []struct{ group, namespace, want string }{
		{"", "", "/dubbo/org.a.Greeter"},
		{"shop", "", "/shop/org.a.Greeter"},
		{"/shop2", "", "/shop2/org.a.Greeter"},
		{"", "tenant", "/tenant/dubbo/org.a.Greeter"},
		{"shop", "/tenant/a/", "/tenant/a/shop/org.a.Greeter"},
	} {
		r := testkit.NewRegistry(t, etcd.Endpoint(), "registry.group", tc.group, "registry.namespace", tc.namespace)
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
		assert.Len(t, testkit.Keys(t, etcd.Client(), tc.want+"/providers/"), 1, tc.want)
		assert.Len(t, testkit.Keys(t, etcd.Client(), tc.want), 2, tc.want)

		l := &testkit.Listener{}
		require.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter"), l))
		l.RequireAddresses(t, "10.0.0.1:20000")
	}
}

func TestRegistrationCostsOneRequest(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	const n = 20
	for i := range n {
		require.NoError(t, r.Register(testkit.Provider(fmt.Sprintf("org.a.Service%d", i), "10.0.0.1:20000")))
	}
	m := etcd.Metrics()
	assert.Equal(t, n, m.Requests("Txn"))
	assert.Equal(t, 0, m.Requests("Put")+m.Requests("Range")+m.Requests("DeleteRange")+m.Requests("LeaseTimeToLive"))
	assert.Equal(t, 1, m.Requests("LeaseGrant"))
}

func TestConcurrentRegistrationsShareTransactions(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	const n = 1000
	var calls errgroup.Group
	for i := range n {
		calls.Go(func() error {
			return r.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.%d.%d:20000", i/250, i%250)))
		})
	}
	require.NoError(t, calls.Wait())
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), n)
	txns := etcd.Metrics().Requests("Txn")
	assert.Less(t, txns, n/5)
	t.Logf("%d registrations in %d transactions", n, txns)
}

func TestUnRegisterDeletesAtOnceAndOnlyItsOwnKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	first, second := testkit.Provider("org.a.Greeter", "10.0.0.1:20000"), testkit.Provider("org.a.Greeter", "10.0.0.2:20000")
	require.NoError(t, r.Register(first))
	require.NoError(t, r.Register(second))

	require.NoError(t, r.UnRegister(first))
	found := slices.Collect(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")))
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "10.0.0.2")

	require.NoError(t, r.UnRegister(first), "what is not registered is ignored")
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.2:20000", "weight", "7")), "neither is this one")
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 1)

	require.NoError(t, r.Register(first), "it may be registered again")
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 2)
}

func TestReRegistrationReplacesTheKeyInOneTransaction(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))

	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	watch := etcd.Client().Watch(ctx, "/dubbo/", clientv3.WithPrefix(), clientv3.WithRev(testkit.Revision(t, etcd.Client())+1))
	weighted := testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "50")
	require.NoError(t, r.Register(weighted))
	require.NoError(t, r.Register(weighted), "once more changes nothing")

	response := <-watch
	require.Len(t, response.Events, 2, "one put, one delete")
	assert.Equal(t, response.Events[0].Kv.ModRevision, response.Events[1].Kv.ModRevision)
	found := slices.Collect(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")))
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "weight=50")

	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")), "the old URL is not registered any more")
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 1)
	require.NoError(t, r.UnRegister(weighted))
	assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"))
}

func TestManyReRegistrationsLeaveTheLastOne(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	var calls errgroup.Group
	for i := range 200 {
		calls.Go(func() error {
			return r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", fmt.Sprint(i+1)))
		})
	}
	require.NoError(t, calls.Wait())
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 1)
}

func TestTwoReferencesOfOneProcessAreBothRegistered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	first, second := testkit.Consumer("org.a.Greeter"), testkit.Consumer("org.a.Greeter", "timeout", "500")
	require.NoError(t, r.Register(first))
	require.NoError(t, r.Register(second))
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/consumers/"), 2)
	require.NoError(t, r.UnRegister(first))
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/consumers/"), 1)
}

func TestDynamicFalseIsRegisteredWithoutALeaseAndStays(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	static := testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "dynamic", "false")
	require.NoError(t, r.Register(static))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	r.Destroy()

	found := testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")
	require.Len(t, found, 1)
	for key, lease := range found {
		assert.Contains(t, key, "10.0.0.1")
		assert.Zero(t, lease)
	}

	again := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, again.Register(static))
	require.NoError(t, again.UnRegister(static), "only an explicit UnRegister removes it")
	assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"))
}

func TestSimplifiedURLIsRegisteredAsTheFrameworkGivesIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "simplified", "true")
	full := testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "version", "1.0.0", "retries", "7", "application", "a")
	// registryProtocol keeps these, among others, and drops the rest.
	simplified := full.CloneWithParams([]string{"application", "version", "timestamp", "interface", "registry.role"})
	require.NoError(t, r.Register(simplified))
	for key := range testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/") {
		assert.Contains(t, key, "version=1.0.0")
		assert.NotContains(t, key, "retries")
	}
	l := &testkit.Listener{}
	require.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter", "version", "1.0.0"), l))
	l.RequireAddresses(t, "10.0.0.1:20000")
}

func TestAnOverrideIsRegisteredInItsCategory(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	override, err := common.NewURL("override://0.0.0.0/org.a.Greeter?category=configurators&dynamic=false&enabled=true&timeout=500")
	require.NoError(t, err)
	override.Ip = "0.0.0.0"
	require.NoError(t, r.Register(override))
	assert.Equal(t, []string{"/dubbo/org.a.Greeter/configurators/override://0.0.0.0/org.a.Greeter?category=configurators&dynamic=false&enabled=true&timeout=500"},
		slices.Collect(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/"))))
}

func TestAKeyOfTwoRegistriesStaysUntilBothAreGone(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	first, second := testkit.NewRegistry(t, etcd.Endpoint()), testkit.NewRegistry(t, etcd.Endpoint())
	u := testkit.Provider("org.a.Greeter", "10.0.0.1:20000")
	require.NoError(t, first.Register(u))
	require.NoError(t, second.Register(u))
	require.NoError(t, first.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	first.Destroy()
	found := slices.Collect(maps.Keys(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")))
	require.Len(t, found, 1, "the other key went with the first registry")
	assert.Contains(t, found[0], "10.0.0.1")
	second.Destroy()
	assert.Empty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"))
}

func TestAURLWithoutAServiceIsAnError(t *testing.T) {
	t.Parallel()
	r := testkit.NewRegistry(t, "127.0.0.1:1")
	u := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithIp("10.0.0.1"), common.WithPort("1"), common.WithParams(url.Values{}))
	assert.ErrorContains(t, r.Register(u), "names no service")
	assert.ErrorContains(t, r.Subscribe(u, &testkit.Listener{}), "names no service")
}

func TestADestroyedRegistryRefusesUse(t *testing.T) {
	t.Parallel()
	r := testkit.NewRegistry(t, "127.0.0.1:1")
	assert.True(t, r.IsAvailable())
	r.Destroy()
	r.Destroy()
	assert.False(t, r.IsAvailable())
	assert.ErrorContains(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")), "destroyed")
	assert.ErrorContains(t, r.Subscribe(testkit.Consumer("org.a.Greeter"), &testkit.Listener{}), "destroyed")
	assert.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	assert.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Greeter"), &testkit.Listener{}))
}

func TestRegisteringWhileEtcdIsAwayIsMadeGoodLater(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "500ms")
	u := testkit.Provider("org.a.Greeter", "10.0.0.1:20000")
	require.NoError(t, r.Register(u), "etcd away is no reason not to start")
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

	etcd.Start()
	l.RequireAddresses(t, "10.0.0.1:20000")
}

func TestCheckMakesAnAbsentEtcdAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	everything := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "500ms", constant.CheckKey, "true")
	some := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "500ms")
	for name, c := range map[string]struct {
		registry registry.Registry
		params   []string // of the service
	}{
		"of the registry": {everything, nil},
		"of the service":  {some, []string{constant.CheckKey, "true"}},
	} {
		err := c.registry.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", c.params...))
		require.ErrorContains(t, err, "org.a.Greeter", "check %s", name)
		err = c.registry.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter", c.params...), &testkit.Listener{})
		require.ErrorContains(t, err, etcd.Endpoint(), "check %s", name)
	}
	require.NoError(t, some.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000", constant.CheckKey, "false")))
	etcd.Start()
	testkit.Await(t, testkit.Patience, func() bool { return len(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")) > 0 })
	time.Sleep(2 * time.Second) // nothing may happen: there is no condition to wait for
	got := testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")
	require.Len(t, got, 1, "what was refused is not registered later")
	assert.Contains(t, slices.Collect(maps.Keys(got))[0], "10.0.0.2")
}

func TestAProviderOfWhichTheNewParametersAreRefusedStaysAsItWas(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "1")))
	before := testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/")
	require.Error(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "1", "note", strings.Repeat("x", 2<<20))))
	require.True(t, testkit.Eventually(func() bool {
		return maps.Equal(before, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"))
	}))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000", "weight", "2")))
	assert.Len(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/providers/"), 1)
}
