// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// What the three writers write.
const (
	byJava    = `{"rawAddress":"10.0.0.2:20880","serviceName":"greeter","host":"10.0.0.2","port":20880,"enabled":false,"healthy":true,"metadata":{"dubbo.metadata.revision":"j"}}`
	byBuiltIn = `{"ID":"10.0.0.3:20000","ServiceName":"greeter","Host":"10.0.0.3","Port":20000,"Weight":7,"Enable":true,"Healthy":false,"Metadata":{"dubbo.metadata.revision":"b"},"ServiceMetadata":{"app":"greeter","revision":"b","services":{}},"Address":"","GroupName":"","Tag":"t"}`
)

func TestInstancesOfAllWritersAreRead(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), "/services/greeter", "") // Java creates it
	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.2:20880", byJava)
	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.3:20000", byBuiltIn)
	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.4:1", "not JSON")
	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.5:1", "null")
	testkit.Put(t, etcd.Client(), "/services/greeter/deeper/10.0.0.6:1", byJava)
	testkit.Put(t, etcd.Client(), "/services/greeter2/10.0.0.7:1", byJava)
	d := open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))

	found := d.GetInstances("greeter")
	require.Equal(t, []string{"10.0.0.1:20000", "10.0.0.2:20880", "10.0.0.3:20000"}, addresses(found))
	java, builtIn := found[1], found[2]
	assert.False(t, java.IsEnable())
	assert.True(t, java.IsHealthy())
	assert.Equal(t, "j", java.GetMetadata()["dubbo.metadata.revision"])
	assert.Equal(t, "greeter", java.GetServiceName())
	assert.True(t, builtIn.IsEnable())
	assert.False(t, builtIn.IsHealthy())
	assert.EqualValues(t, 7, builtIn.GetWeight())
	assert.Equal(t, "t", builtIn.GetTag())

	assert.ElementsMatch(t, []any{"greeter", "greeter2"}, d.GetServices().Values())
	assert.Empty(t, d.GetInstances("nobody"))
}

func TestPages(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	for i := range 5 {
		one := instance("greeter", "10.0.0.1", 20000+i)
		one.Healthy = i%2 == 0
		require.NoError(t, d.Register(one))
	}
	ports := func(page []any) (ports string) {
		for _, i := range page {
			ports += strconv.Itoa(i.(registry.ServiceInstance).GetPort()-20000) + " "
		}
		return ports
	}
	assert.Equal(t, registry.DefaultPageSize, d.GetDefaultPageSize())
	for _, c := range []struct {
		offset, size int
		want         string
	}{{0, 2, "0 1 "}, {2, 2, "2 3 "}, {4, 2, "4 "}, {9, 2, ""}, {0, 0, "0 1 2 3 4 "}, {-1, 1, "0 "}} {
		page := d.GetInstancesByPage("greeter", c.offset, c.size)
		assert.Equal(t, c.want, ports(page.GetData()), "%+v", c)
	}
	healthy := d.GetHealthyInstancesByPage("greeter", 1, 2, true)
	assert.Equal(t, "2 4 ", ports(healthy.GetData()))
	assert.Equal(t, 2, healthy.GetTotalPages(), "pages of the healthy ones")
	assert.Equal(t, "1 3 ", ports(d.GetHealthyInstancesByPage("greeter", 0, 10, false).GetData()))
	pages := d.GetRequestInstances([]string{"greeter", "nobody"}, 1, 1)
	assert.Equal(t, "1 ", ports(pages["greeter"].GetData()))
	assert.Empty(t, pages["nobody"].GetData())
}

func TestAListenerIsToldOfWhatChangesAndOfNothingElse(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	provider, consumer := open(t, etcd.Endpoint()), open(t, etcd.Endpoint())
	require.NoError(t, provider.Register(instance("greeter", "10.0.0.1", 20000)))
	r := subscribe(t, consumer, "greeter")
	other := subscribe(t, consumer, "other")
	r.requireKnows(t, "greeter", "10.0.0.1:20000")

	require.NoError(t, provider.Register(instance("greeter", "10.0.0.2", 20000)))
	r.requireKnows(t, "greeter", "10.0.0.1:20000", "10.0.0.2:20000")
	assert.Equal(t, 2, r.count(), "events: what GetInstances returned, which the test passed on, and the change")
	require.NoError(t, provider.Unregister(instance("greeter", "10.0.0.1", 20000)))
	r.requireKnows(t, "greeter", "10.0.0.2:20000")

	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.9:1", "what nobody can read")
	require.NoError(t, consumer.AddListener(r), "again")
	require.NoError(t, provider.Register(instance("greeter", "10.0.0.3", 20000)))
	r.requireKnows(t, "greeter", "10.0.0.2:20000", "10.0.0.3:20000")
	assert.Equal(t, 4, r.count(), "events")
	assert.Equal(t, 1, other.count(), "events of a listener to something else")
}

func TestNothingIsMissedBetweenGetInstancesAndAddListener(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	provider := open(t, etcd.Endpoint())
	for i := range 20 {
		consumer := open(t, etcd.Endpoint())
		application := fmt.Sprintf("greeter%d", i)
		require.NoError(t, provider.Register(instance(application, "10.0.0.1", 20000)))
		require.NoError(t, provider.Register(instance(application, "10.0.0.2", 20000)))
		r := newRecorder(application)
		require.NoError(t, r.OnEvent(registry.NewServiceInstancesChangedEvent(application, consumer.GetInstances(application))))
		r.requireKnows(t, application, "10.0.0.1:20000", "10.0.0.2:20000")
		require.NoError(t, provider.Unregister(instance(application, "10.0.0.1", 20000)))
		require.NoError(t, provider.Register(instance(application, "10.0.0.3", 20000)))
		if i%2 == 0 { // somebody else asks meanwhile
			assert.Len(t, consumer.GetInstances(application), 2)
		}
		require.NoError(t, consumer.AddListener(r))
		r.requireKnows(t, application, "10.0.0.2:20000", "10.0.0.3:20000")
	}
}

func TestAListenerThatDidNotAskIsToldWhatThereIs(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	r := newRecorder("greeter", "other")
	require.NoError(t, d.AddListener(r))
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	require.NoError(t, d.Register(instance("other", "10.0.0.2", 20000)))
	r.requireKnows(t, "other", "10.0.0.2:20000")
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	r.names.Add("third")
	require.NoError(t, d.Register(instance("third", "10.0.0.3", 20000)))
	require.NoError(t, d.AddListener(r), "it names one more by now")
	r.requireKnows(t, "third", "10.0.0.3:20000")
}

func TestAListenerThatWasRemovedIsNotTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	r, stays := subscribe(t, d, "greeter"), subscribe(t, d, "greeter")
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	remove(d, r)
	told := r.count()
	require.NoError(t, d.Register(instance("greeter", "10.0.0.2", 20000)))
	stays.requireKnows(t, "greeter", "10.0.0.1:20000", "10.0.0.2:20000")
	assert.Equal(t, told, r.count())

	inside := newRecorder("greeter")
	var once sync.Once
	inside.during = func() { once.Do(func() { remove(d, inside) }) }
	require.NoError(t, d.AddListener(inside))
	inside.requireKnows(t, "greeter", "10.0.0.1:20000", "10.0.0.2:20000")
	require.NoError(t, d.Register(instance("greeter", "10.0.0.3", 20000)))
	stays.requireKnows(t, "greeter", "10.0.0.1:20000", "10.0.0.2:20000", "10.0.0.3:20000")
	assert.Equal(t, 1, inside.count(), "events of a listener that removed itself")
}

func TestASlowListenerAndOneThatPanicsDelayNoOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	release := make(chan struct{})
	slow, bad := newRecorder("greeter"), newRecorder("greeter")
	slow.during = func() { <-release }
	bad.during = func() { panic("a listener's own fault") }
	require.NoError(t, d.AddListener(slow))
	require.NoError(t, d.AddListener(bad))
	r := subscribe(t, d, "greeter")
	var want []string
	for i := range 20 {
		require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000+i)))
		want = append(want, fmt.Sprintf("10.0.0.1:%d", 20000+i))
	}
	r.requireKnows(t, "greeter", want...)
	close(release)
	slow.requireKnows(t, "greeter", want...)
	assert.LessOrEqual(t, slow.count(), 3, "what came meanwhile is one event")
}

func TestListenersThatCannotWork(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	d := open(t, etcd.Endpoint())
	require.ErrorContains(t, d.AddListener(nil), "no listener")
	require.ErrorContains(t, d.AddListener(newRecorder()), "names no application")
	require.ErrorContains(t, d.AddListener(&recorder{names: (*gxset.HashSet)(nil)}), "names no application")
}

func TestAConsumerThatStartsWithoutEtcdIsServedFromTheCacheAndThenMended(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "sub", "registry.cache")
	provider := open(t, etcd.Endpoint())
	for i := range 3 {
		require.NoError(t, provider.Register(instance("greeter", "10.0.0.1", 20000+i, "a=b", "x y %2F ü\n")))
	}
	first := open(t, etcd.Endpoint(), "file-cache", "true", "file", file)
	r := subscribe(t, first, "greeter")
	require.NoError(t, provider.Unregister(instance("greeter", "10.0.0.1", 20002)))
	r.requireKnows(t, "greeter", "10.0.0.1:20000", "10.0.0.1:20001")
	require.NoError(t, first.Destroy()) // which saves what is not saved yet
	require.NoError(t, provider.Destroy())
	etcd.Kill()

	second := open(t, etcd.Endpoint(), "file-cache", "true", "file", file, "registry.timeout", "500ms")
	found := second.GetInstances("greeter")
	require.Equal(t, []string{"10.0.0.1:20000", "10.0.0.1:20001"}, addresses(found))
	assert.Equal(t, "x y %2F ü\n", found[0].GetMetadata()["a=b"])
	assert.Empty(t, second.GetInstances("other"))
	r = subscribe(t, second, "greeter")

	etcd.Start()
	r.requireKnows(t, "greeter") // the provider has gone, and its keys with it
	testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.2:20880", byJava)
	r.requireKnows(t, "greeter", "10.0.0.2:20880")
}

func TestTheLastInstancesAreKeptWhereThatIsConfigured(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	provider := open(t, etcd.Endpoint())
	require.NoError(t, provider.Register(instance("greeter", "10.0.0.1", 20000)))
	plain := subscribe(t, open(t, etcd.Endpoint()), "greeter")
	keeping := subscribe(t, open(t, etcd.Endpoint(), "enable-empty-protection", "true"), "greeter")
	require.NoError(t, provider.Unregister(instance("greeter", "10.0.0.1", 20000)))
	plain.requireKnows(t, "greeter")
	keeping.requireKnows(t, "greeter", "10.0.0.1:20000")
	require.NoError(t, provider.Register(instance("greeter", "10.0.0.2", 20000)))
	keeping.requireKnows(t, "greeter", "10.0.0.2:20000")
}

func TestInstancesFollowEtcdThroughItsFaults(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	near, far := etcdtest.NewProxy(t, etcd.Endpoint()), etcdtest.NewProxy(t, etcd.Endpoint())
	provider, consumer := open(t, near.Addr()), open(t, far.Addr())
	require.NoError(t, provider.Register(instance("greeter", "10.0.0.1", 20000)))
	r := subscribe(t, consumer, "greeter", "other")
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
	kept := func() {
		t.Helper()
		time.Sleep(3 * time.Second) // longer than the lease lives: nothing may be forgotten in it
		require.Equal(t, []string{"10.0.0.1:20000"}, r.addresses("greeter"))
	}
	for name, fault := range map[string]func(){
		"killed": func() {
			etcd.Kill()
			kept()
			etcd.Start()
		},
		"paused": func() {
			etcd.Pause()
			kept()
			etcd.Resume()
		},
		"the consumer cut off while the history is compacted": func() {
			far.Cut()
			for range 5 {
				testkit.Put(t, etcd.Client(), "/services/greeter/10.0.0.2:20880", byJava)
				testkit.Delete(t, etcd.Client(), "/services/greeter/10.0.0.2:20880")
			}
			etcd.Compact(testkit.List(t, etcd.Client(), "/services/").Header.Revision)
			kept()
			far.Restore()
		},
		"wiped": func() {
			etcd.Wipe()
		},
	} {
		fault()
		testkit.Put(t, etcd.Client(), "/services/other/10.0.0.2:20880", `{"host":"10.0.0.2","port":20880}`) // what comes after it arrives
		r.requireKnows(t, "other", "10.0.0.2:20880")
		r.requireKnows(t, "greeter", "10.0.0.1:20000")
		testkit.Delete(t, etcd.Client(), "/services/other/10.0.0.2:20880")
		r.requireKnows(t, "other")
		testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Values(t, etcd.Client(), "/services/greeter/")) == 1 }, name)
	}
	far.Cut()
	near.Cut() // and the provider's lease runs out
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Values(t, etcd.Client(), "/services/greeter/")) == 0 })
	far.Restore()
	r.requireKnows(t, "greeter")
	near.Restore()
	r.requireKnows(t, "greeter", "10.0.0.1:20000")
}

func TestANamespaceKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint(), "registry.namespace", "tenant")
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))
	assert.Contains(t, testkit.Values(t, etcd.Client(), ""), "/tenant/services/greeter/10.0.0.1:20000")
	assert.Equal(t, []any{"greeter"}, d.GetServices().Values())
	assert.Len(t, d.GetInstances("greeter"), 1)
	assert.Empty(t, open(t, etcd.Endpoint()).GetInstances("greeter"))
}
