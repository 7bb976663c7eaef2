// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	protocolbase "dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// newDirectory makes the framework's registry directory for a service.
func newDirectory(t testing.TB, r registry.Registry, service string, params ...string) directory.Directory {
	t.Helper()
	return newDirectoryOf(t, r, testkit.Consumer(service, append([]string{constant.ApplicationKey, "test"}, params...)...))
}

func newDirectoryOf(t testing.TB, r registry.Registry, reference *common.URL) directory.Directory {
	t.Helper()
	at := common.NewURLWithOptions(common.WithProtocol(constant.RegistryProtocol), common.WithIp("127.0.0.1"), common.WithPort("1"))
	return testkit.NewDirectory(t, r, at, reference)
}

func requireInvokers(t testing.TB, d directory.Directory, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	require.True(t, testkit.Eventually(func() bool {
		got = testkit.Invokers(d)
		return slices.Equal(got, want)
	}), "the directory offers %s, want %s", testkit.Abbreviate(got), testkit.Abbreviate(want))
}

func TestTheFrameworksDirectoryIsCompleteWhenItIsMadeAndFollows(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	require.NoError(t, r.Register(testkit.ServiceURL("dubbo", "org.a.Greeter", "127.0.0.1:3", "registry.role", "3")))

	d := newDirectory(t, r, "org.a.Greeter")
	assert.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2"}, testkit.Invokers(d), "before anything is subscribed; of its own protocol only")
	sub := d.GetURL().SubURL
	require.NoError(t, r.Subscribe(sub, d.(registry.NotifyListener)))

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:4")))
	requireInvokers(t, d, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:4")
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	requireInvokers(t, d, "127.0.0.1:2", "127.0.0.1:4")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:4", "weight", "50")))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:5")))
	requireInvokers(t, d, "127.0.0.1:2", "127.0.0.1:4", "127.0.0.1:5")
	for _, u := range testkit.Offered(d) {
		if u.Port == "4" {
			assert.Equal(t, "50", u.GetParam("weight", ""))
		}
	}
	for _, port := range []string{"2", "5"} {
		require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:"+port)))
	}
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:4", "weight", "50")))
	requireInvokers(t, d)
}

// The directory merges the consumer's parameters into a provider's URL: group=*
// for a provider without a group, for one. It has to find the invoker again
// when the provider goes.
func TestTheDirectoryLosesProvidersThatItKnowsUnderMergedParameters(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	d := newDirectory(t, r, "org.a.Greeter", "group", "*", "version", "*")
	require.NoError(t, r.Subscribe(d.GetURL().SubURL, d.(registry.NotifyListener)))
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireInvokers(t, d, "127.0.0.1:1", "127.0.0.1:2")
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:1")))
	require.NoError(t, r.UnRegister(testkit.Provider("org.a.Greeter", "127.0.0.1:2")))
	requireInvokers(t, d)
}

func TestADirectoryOfTenThousandChangesByOneNotify(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	putProviders(t, etcd.Client(), 10_000, "tri")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "registry.timeout", "60s")
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	require.Len(t, l.Addresses(), 10_000)
	testkit.Put(t, etcd.Client(), providerKey(10_000, "tri"), "")
	require.True(t, testkit.Eventually(func() bool { return len(l.Addresses()) == 10_001 }))
	testkit.Delete(t, etcd.Client(), providerKey(77, "tri"))
	require.True(t, testkit.Eventually(func() bool { return len(l.Addresses()) == 10_000 }))
	alls, singles := l.Counts()
	assert.Equal(t, 1, alls)
	assert.Len(t, singles, 2)
}

// BenchmarkDirectoryOfTenThousand compares what it takes until a directory of
// 10,000 providers is complete with what its parts take by themselves: one
// range read, one parse of each URL, one NotifyAll. The ratio is reported.
func BenchmarkDirectoryOfTenThousand(b *testing.B) {
	quiet(b)
	const n = 10_000
	etcd := etcdtest.Start(b)
	putProviders(b, etcd.Client(), n, stubProtocol)
	var bare, ours time.Duration
	for b.Loop() {
		bare += timed(func() { fillByHand(b, etcd, n) })
		r := testkit.NewRegistry(b, etcd.Endpoint(), "registry.timeout", "60s")
		var d directory.Directory
		ours += timed(func() { d = newStubDirectory(b, r) })
		require.Len(b, testkit.Invokers(d), n)
		d.Destroy()
		r.Destroy()
	}
	b.ReportMetric(float64(bare.Milliseconds())/float64(b.N), "bare-ms")
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "registry-ms")
	b.ReportMetric(float64(ours)/float64(bare), "ratio")
}

func fillByHand(t testing.TB, etcd *etcdtest.Server, n int) {
	d := newStubDirectory(t, deafRegistry{})
	response := testkit.List(t, etcd.Client(), providersOfA)
	events := make([]*registry.ServiceEvent, 0, n)
	for _, kv := range response.Kvs {
		u, err := common.NewURL(strings.TrimPrefix(string(kv.Key), providersOfA))
		require.NoError(t, err)
		events = append(events, &registry.ServiceEvent{Action: remoting.EventTypeAdd, Service: u})
	}
	d.(registry.NotifyListener).NotifyAll(events, func() {})
	require.Len(t, testkit.Invokers(d), n)
}

// BenchmarkNotify measures what one Notify and one NotifyAll cost in a
// directory of n providers: the border between the two follows from it.
func BenchmarkNotify(b *testing.B) {
	quiet(b)
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		events := func() []*registry.ServiceEvent {
			all := make([]*registry.ServiceEvent, n)
			for i := range all {
				u, err := common.NewURL(strings.TrimPrefix(providerKey(i, stubProtocol), providersOfA))
				require.NoError(b, err)
				all[i] = &registry.ServiceEvent{Action: remoting.EventTypeAdd, Service: u}
			}
			return all
		}
		b.Run(fmt.Sprintf("Notify/%d", n), func(b *testing.B) {
			d := newStubDirectory(b, deafRegistry{})
			l := d.(registry.NotifyListener)
			l.NotifyAll(events(), func() {})
			for i := 0; b.Loop(); i++ {
				u, err := common.NewURL(strings.TrimPrefix(providerKey(n, stubProtocol), providersOfA))
				require.NoError(b, err)
				l.Notify(&registry.ServiceEvent{Action: []remoting.EventType{remoting.EventTypeAdd, remoting.EventTypeDel}[i%2], Service: u})
			}
		})
		b.Run(fmt.Sprintf("NotifyAll/%d", n), func(b *testing.B) {
			d := newStubDirectory(b, deafRegistry{})
			l := d.(registry.NotifyListener)
			l.NotifyAll(events(), func() {})
			for b.Loop() {
				l.NotifyAll(events(), func() {})
			}
		})
	}
}

// stub is an RPC protocol that refers to anything at no cost: the benchmarks
// are of the registry and the directory, and ten thousand addresses of real
// clients would be dialled.
type stub struct{ protocolbase.Protocol }

const stubProtocol = "stub"

func (stub) Refer(u *common.URL) protocolbase.Invoker { return protocolbase.NewBaseInvoker(u) }

func init() {
	extension.SetProtocol(stubProtocol, func() protocolbase.Protocol { return stub{} })
}

func newStubDirectory(t testing.TB, r registry.Registry) directory.Directory {
	return newDirectoryOf(t, r, testkit.ServiceURL(stubProtocol, "org.a.Greeter", "", constant.ApplicationKey, "test"))
}

// deafRegistry is for directories that are told by hand.
type deafRegistry struct{ registry.Registry }

func (deafRegistry) LoadSubscribeInstances(*common.URL, registry.NotifyListener) error { return nil }
func (deafRegistry) UnSubscribe(*common.URL, registry.NotifyListener) error            { return nil }
func (deafRegistry) UnRegister(*common.URL) error                                      { return nil }

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func quiet(b *testing.B) {
	logger.SetLoggerLevel("error")
	b.Cleanup(func() { logger.SetLoggerLevel("info") })
}

// dubbo-go v3.3.2 registers a reference and never takes that back.
func TestReferenceThatIsDestroyedIsNotRegisteredAnyMore(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, r.Register(testkit.Consumer("org.a.Greeter", "timestamp", "of somebody who registers by himself")))
	var references []directory.Directory
	for _, timestamp := range []string{"1", "2", "2"} { // two that are made in one millisecond
		d := newDirectory(t, r, "org.a.Greeter", "timestamp", timestamp)
		require.NoError(t, d.Subscribe(d.GetURL().SubURL))
		references = append(references, d)
	}
	consumers := func() int { return len(testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/consumers/")) }
	require.Equal(t, 3, consumers())

	references[1].Destroy()
	references[0].Destroy()
	require.True(t, testkit.Eventually(func() bool { return consumers() == 2 }), "there are %d", consumers())
	assert.NotEmpty(t, testkit.Keys(t, etcd.Client(), "/dubbo/org.a.Greeter/consumers/"))
	references[2].Destroy()
	require.True(t, testkit.Eventually(func() bool { return consumers() == 1 }), "there are %d", consumers())
}
