// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	greeter   = "org.a.Greeter"
	providers = root + greeter + "/providers/"
)

// scene is a process that provides and another one that consumes, each behind
// a proxy of its own, and what really happens in etcd.
type scene struct {
	t       testing.TB
	client  *clientv3.Client // that nothing cuts off
	history *history

	near, far *etcdtest.Proxy // of the provider, of the consumer; nil for a cluster
	provider  registry.Registry
	consumer  registry.Registry
	recorder  *recorder
	neighbour *recorder // to a service whose name begins like the other's
	nobody    *recorder // to a service that nobody provides
	addresses []string  // that are registered
}

// newScene has three providers registered, and known to the consumer. params
// are more of the provider's registry.
func newScene(t testing.TB, params ...string) (*store, *scene) {
	t.Helper()
	etcd := newStore(t)
	near, far := etcdtest.NewProxy(t, etcd.Endpoint()), etcdtest.NewProxy(t, etcd.Endpoint())
	s := enact(t, etcd.client, newRegistry(t, near.Addr(), params...), newRegistry(t, far.Addr()))
	s.near, s.far = near, far
	return etcd, s
}

func enact(t testing.TB, client *clientv3.Client, near, far registry.Registry) *scene {
	t.Helper()
	s := &scene{
		t: t, client: client, history: newHistory(client), provider: near, consumer: far,
		recorder: newRecorder("consumer"), neighbour: newRecorder("neighbour"), nobody: newRecorder("nobody"),
	}
	t.Cleanup(func() { s.history.stop() })
	for i := range 3 {
		s.register(i)
	}
	require.NoError(t, s.provider.Register(testkit.Provider(greeter+"2", "10.0.0.9:20000")))
	for r, service := range map[*recorder]string{s.recorder: greeter, s.neighbour: greeter + "2", s.nobody: "org.a.Nobody"} {
		testkit.Subscribe(t, s.consumer, testkit.Consumer(service), r)
	}
	s.requireExact()
	return s
}

func (s *scene) register(i int) {
	s.t.Helper()
	require.NoError(s.t, s.provider.Register(testkit.Provider(greeter, testkit.Address(i))))
	s.addresses = append(s.addresses, testkit.Address(i))
	slices.Sort(s.addresses)
}

func (s *scene) unregister(i int) {
	s.t.Helper()
	require.NoError(s.t, s.provider.UnRegister(testkit.Provider(greeter, testkit.Address(i))))
	s.addresses = slices.DeleteFunc(s.addresses, func(a string) bool { return a == testkit.Address(i) })
}

// put puts the key of a provider of another program, which has no lease.
func (s *scene) put(i int) {
	s.t.Helper()
	testkit.Put(s.t, s.client, providerKey(greeter, testkit.Address(i)), "")
	s.addresses = append(s.addresses, testkit.Address(i))
	slices.Sort(s.addresses)
}

func (s *scene) delete(prefix string) {
	s.t.Helper()
	testkit.DeleteAll(s.t, s.client, prefix)
}

// lease is the one that the providers' keys have.
func (s *scene) lease() clientv3.LeaseID {
	s.t.Helper()
	kvs := testkit.List(s.t, s.client, providers).Kvs
	require.NotEmpty(s.t, kvs)
	return clientv3.LeaseID(kvs[0].Lease)
}

// requireKept requires that the consumer knows all that it knew, for as long as
// etcd is away.
func (s *scene) requireKept(d time.Duration) {
	s.t.Helper()
	known := s.recorder.Addresses()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		require.Equal(s.t, known, s.recorder.Addresses(), "the consumer has forgotten providers while etcd is away")
	}
	require.Equal(s.t, []string{"10.0.0.9:20000"}, s.neighbour.Addresses())
}

// requireExact waits until etcd has the keys of what is registered, and the
// consumer knows them, and no more; and requires that it was told of no removal
// that did not happen.
func (s *scene) requireExact() {
	s.t.Helper()
	begin := time.Now()
	var got []string
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		got = nil
		for _, kv := range testkit.List(s.t, s.client, providers).Kvs {
			if f, ok := parseKey(string(kv.Key), "providers"); ok {
				got = append(got, f.address)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, s.addresses)
	})
	require.True(s.t, ok, "etcd has %v, want %v", got, s.addresses)
	s.recorder.requireAddresses(s.t, s.addresses...)
	s.neighbour.requireAddresses(s.t, "10.0.0.9:20000")
	s.nobody.requireAddresses(s.t)
	s.t.Logf("exact after %v", time.Since(begin).Round(time.Millisecond))

	s.history.sync(s.t)
	absences := s.history.takeAbsences()
	for _, r := range []*recorder{s.recorder, s.neighbour} {
		for name, n := range r.takeRemovals() {
			require.LessOrEqual(s.t, n, absences[name], "%s was told that %s is gone, which it was not", r.Name, name)
		}
	}
}

// requireFollows requires that changes arrive again.
func (s *scene) requireFollows() {
	s.t.Helper()
	s.register(50)
	s.requireExact()
	s.unregister(50)
	s.requireExact()
}
