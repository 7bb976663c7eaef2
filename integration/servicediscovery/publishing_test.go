// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const key = "/services/greeter/10.0.0.1:20000"

func TestAnInstanceIsWhatJavaAndTheBuiltInOneRead(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	i := instance("greeter", "10.0.0.1", 20000, "dubbo.endpoints", `[{"port":20000,"protocol":"tri"}]`)
	i.Weight, i.Tag = 50, "gray"
	require.NoError(t, d.Register(i))

	response := testkit.List(t, etcd.Client(), "/services/")
	require.Len(t, response.Kvs, 1)
	assert.Equal(t, key, string(response.Kvs[0].Key))
	assert.NotZero(t, response.Kvs[0].Lease)

	// Gson is case-sensitive: these are the fields of Java's DefaultServiceInstance.
	var java map[string]any
	require.NoError(t, json.Unmarshal(response.Kvs[0].Value, &java))
	assert.Equal(t, "greeter", java["serviceName"])
	assert.Equal(t, "10.0.0.1", java["host"])
	assert.EqualValues(t, 20000, java["port"])
	assert.Equal(t, true, java["enabled"])
	assert.Equal(t, true, java["healthy"])
	assert.Equal(t, map[string]any{"dubbo.metadata.storage-type": "local", "dubbo.endpoints": `[{"port":20000,"protocol":"tri"}]`}, java["metadata"])

	// The built-in one decodes into the framework's struct.
	var builtIn registry.DefaultServiceInstance
	require.NoError(t, json.Unmarshal(response.Kvs[0].Value, &builtIn))
	assert.Equal(t, i, &builtIn)
}

func TestAnInstanceIsUpdatedInPlaceAndUnregistered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d, other := open(t, etcd.Endpoint()), open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000, "revision", "1")))
	r := subscribe(t, other, "greeter")
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	before := testkit.Get(t, etcd.Client(), key).Kvs[0]

	changed := instance("greeter", "10.0.0.1", 20000, "revision", "2")
	require.NoError(t, d.Update(changed))
	after := testkit.Get(t, etcd.Client(), key).Kvs[0]
	assert.Equal(t, before.CreateRevision, after.CreateRevision, "it was never gone")
	assert.Equal(t, before.Lease, after.Lease)
	testkit.Await(t, testkit.LongPatience, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		known := r.known["greeter"]
		return len(known) == 1 && known[0].GetMetadata()["revision"] == "2"
	})

	require.NoError(t, d.Register(changed), "registering it again changes nothing")
	assert.Equal(t, after.ModRevision, testkit.Get(t, etcd.Client(), key).Kvs[0].ModRevision)

	require.NoError(t, d.Unregister(changed))
	assert.Empty(t, testkit.Values(t, etcd.Client(), "/services/"))
	r.requireKnows(t, "greeter")
	require.NoError(t, d.Unregister(changed), "what is not registered is ignored")
}

func TestTheFrameworkRegistersOneInstanceForEachOfItsServices(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	for range 3 { // the same host and port each time
		require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	}
	for range 3 {
		require.NoError(t, d.Unregister(instance("greeter", "10.0.0.1", 20000)))
		assert.Empty(t, testkit.Values(t, etcd.Client(), "/services/"), "the first one takes it away")
	}
}

func TestWhatCannotBeAKeyIsAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	d := open(t, etcd.Endpoint())
	for _, bad := range []registry.ServiceInstance{
		nil, instance("", "10.0.0.1", 1), instance("a/b", "10.0.0.1", 1), instance("a", "", 1), instance("a", "x/y", 1), instance("a", "h", 70000),
	} {
		require.Error(t, d.Register(bad))
		require.Error(t, d.Unregister(bad))
	}
	require.ErrorContains(t, d.Register(instance("", "10.0.0.1", 1)), "dubbo.application.name")
}

// patient waits for what etcd says, however long it takes.
var patient = []string{constant.RegistryTimeoutKey, "60s", "session", "60s"}

func TestAnUpdateThatEtcdRefusesLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint(), patient...)
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000, "revision", "1")))
	require.Error(t, d.Update(instance("greeter", "10.0.0.1", 20000, "revision", strings.Repeat("x", 2<<20))), "etcd takes 1.5 MiB")
	assert.Contains(t, testkit.Values(t, etcd.Client(), key)[key], `"revision":"1"`)
	require.NoError(t, d.Update(instance("greeter", "10.0.0.1", 20000, "revision", "3")))
	assert.Contains(t, testkit.Values(t, etcd.Client(), key)[key], `"revision":"3"`)
}

func TestOfTwoThatRegisterAtATimeTheRefusedOneTakesNothingAway(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint(), patient...)
	large := strings.Repeat("x", 2<<20)
	for i := range 20 {
		var registering sync.WaitGroup
		registering.Go(func() {
			assert.Error(t, d.Register(instance("greeter", "10.0.0.1", 20000+i, "revision", large)))
		})
		registering.Go(func() { assert.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000+i, "revision", "1"))) })
		registering.Wait()
		key := fmt.Sprintf("/services/greeter/10.0.0.1:%d", 20000+i)
		testkit.Await(t, testkit.LongPatience, func() bool { return strings.Contains(testkit.Values(t, etcd.Client(), key)[key], `"revision":"1"`) })
	}
}

func TestInstancesReturnAfterTheLeaseIsRevokedKeysAreDeletedOrTheStoreIsWiped(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	want := testkit.Values(t, etcd.Client(), key)
	back := func() bool { return fmt.Sprint(testkit.Values(t, etcd.Client(), key)) == fmt.Sprint(want) }

	testkit.Revoke(t, etcd.Client(), clientv3.LeaseID(testkit.Get(t, etcd.Client(), key).Kvs[0].Lease))
	testkit.Await(t, testkit.LongPatience, back, "after the lease was revoked")
	testkit.Delete(t, etcd.Client(), key)
	testkit.Await(t, testkit.LongPatience, back, "after the key was deleted")
	etcd.Wipe()
	testkit.Await(t, testkit.LongPatience, back, "after the store was wiped")
}

// A backup has the lease and the key with the value of its time.
func TestAValueOutOfABackupIsReplaced(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	d := open(t, proxy.Addr(), "session", "30s")
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000, "revision", "2")))
	lease := clientv3.LeaseID(testkit.Get(t, etcd.Client(), key).Kvs[0].Lease)
	watch := subscribe(t, d, "greeter") // something that reconnects at once

	proxy.Cut()
	testkit.Put(t, etcd.Client(), key, strings.Replace(testkit.Values(t, etcd.Client(), key)[key], `"2"`, `"1"`, 1), clientv3.WithLease(lease))
	proxy.Restore()
	testkit.Await(t, testkit.LongPatience, func() bool { return strings.Contains(testkit.Values(t, etcd.Client(), key)[key], `"revision":"2"`) })
	watch.requireKnows(t, "greeter", "10.0.0.1:20000")
}

func TestRegisteringWhileEtcdIsAwayIsMadeGoodLater(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	d := open(t, etcd.Endpoint(), "registry.timeout", "500ms")
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000, "revision", "1")), "etcd away is no reason not to start")
	require.NoError(t, d.Update(instance("greeter", "10.0.0.1", 20000, "revision", "2")))
	require.NoError(t, d.Register(instance("greeter", "10.0.0.2", 20000)))
	require.NoError(t, d.Unregister(instance("greeter", "10.0.0.2", 20000)))
	assert.Contains(t, fmt.Sprint(d.GetServices().Values()), "greeter", "what this process has registered")
	r := subscribe(t, d, "greeter")
	r.requireKnows(t, "greeter")

	etcd.Start()
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	assert.Contains(t, testkit.Values(t, etcd.Client(), key)[key], `"revision":"2"`)
}

func TestCheckMakesAnAbsentEtcdAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	d := open(t, etcd.Endpoint(), "registry.timeout", "500ms", "check", "true")
	require.ErrorContains(t, d.Register(instance("greeter", "10.0.0.1", 20000)), "instance 10.0.0.1:20000 of greeter")
	etcd.Start()
	testkit.Await(t, testkit.LongPatience, func() bool { return d.Register(instance("greeter", "10.0.0.2", 20000)) == nil })
	assert.Len(t, testkit.Values(t, etcd.Client(), "/services/"), 1, "what was refused is not registered later")
}

func TestARegistryAndDiscoveriesShareWhatCosts(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	var group errgroup.Group
	for i := range 50 {
		d := open(t, proxy.Addr())
		group.Go(func() error { return d.Register(instance("greeter", "10.0.0.1", 20000+i)) })
		subscribe(t, d, "greeter")
	}
	require.NoError(t, group.Wait())
	leases := map[int64]bool{}
	for _, kv := range testkit.List(t, etcd.Client(), "/services/").Kvs {
		leases[kv.Lease] = true
	}
	assert.Len(t, leases, 1)
	assert.Equal(t, 1, proxy.Accepted(), "connections")
}

func TestDestroyLeavesNothing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	r := subscribe(t, d, "greeter")
	require.NoError(t, d.Destroy())
	require.NoError(t, d.Destroy(), "again")
	assert.Empty(t, testkit.Values(t, etcd.Client(), "/services/"))
	told := r.count()
	testkit.Put(t, etcd.Client(), key, `{"host":"10.0.0.1","port":20000}`)
	assert.Equal(t, told, r.count())
	require.Error(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	require.Error(t, d.AddListener(newRecorder("greeter")))
	assert.Empty(t, d.GetInstances("greeter"))
}
