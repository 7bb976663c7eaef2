// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// patience is how long a test waits for what has to happen, on a machine that
// is busy with something else.
const patience = 45 * time.Second

// open asks the framework for the service discovery at an address; params are
// pairs of a name and a value.
func open(t testing.TB, address string, params ...string) registry.ServiceDiscovery {
	t.Helper()
	values := url.Values{constant.RegistryKey: {"etcdv3"}, "session": {"2s"}, constant.RegistryTimeoutKey: {"2s"}, "retry.interval": {"200ms"}, "file-cache": {"false"}}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	u, err := common.NewURL("service-discovery-registry://"+address, common.WithParams(values), common.WithLocation(address))
	require.NoError(t, err)
	d, err := extension.GetServiceDiscovery(u)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Destroy() })
	return d
}

// instance is one as the framework registers it; metadata are pairs of a name
// and a value.
func instance(application, host string, port int, metadata ...string) *registry.DefaultServiceInstance {
	all := map[string]string{"dubbo.metadata.storage-type": "local"}
	for i := 0; i < len(metadata); i += 2 {
		all[metadata[i]] = metadata[i+1]
	}
	return &registry.DefaultServiceInstance{
		ID: fmt.Sprintf("%s:%d", host, port), ServiceName: application, Host: host, Port: port,
		Enable: true, Healthy: true, Metadata: all,
	}
}

func addresses(instances []registry.ServiceInstance) []string {
	all := []string{}
	for _, i := range instances {
		all = append(all, i.GetAddress())
	}
	slices.Sort(all)
	return all
}

// recorder is a framework listener that keeps what it was told last.
type recorder struct {
	names *gxset.HashSet

	mu     sync.Mutex
	known  map[string][]registry.ServiceInstance // by application
	events int
	inside int
	during func() // is called in every event
}

func newRecorder(applications ...string) *recorder {
	names := gxset.NewSet()
	for _, name := range applications {
		names.Add(name)
	}
	return &recorder{names: names, known: map[string][]registry.ServiceInstance{}}
}

func (r *recorder) OnEvent(e observer.Event) error {
	event := e.(*registry.ServiceInstancesChangedEvent)
	r.mu.Lock()
	r.inside++
	if r.inside > 1 {
		panic("two events at a time")
	}
	r.mu.Unlock()
	if r.during != nil {
		r.during()
	}
	for _, i := range event.Instances { // as the framework's listener does
		i.SetServiceMetadata(nil)
		i.GetMetadata()["seen"] = "by a listener"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
	r.events++
	r.known[event.ServiceName] = event.Instances
	return nil
}

func (r *recorder) AddListenerAndNotify(string, registry.NotifyListener) {}
func (r *recorder) RemoveListener(string)                                {}
func (r *recorder) GetServiceNames() *gxset.HashSet                      { return r.names }
func (r *recorder) Accept(observer.Event) bool                           { return true }
func (r *recorder) GetEventType() reflect.Type {
	return reflect.TypeFor[*registry.ServiceInstancesChangedEvent]()
}
func (r *recorder) GetPriority() int { return -1 }

func (r *recorder) addresses(application string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return addresses(r.known[application])
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}

// requireKnows waits until the listener knows these instances, and no others.
func (r *recorder) requireKnows(t testing.TB, application string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if want == nil {
		want = []string{}
	}
	require.Eventually(t, func() bool { return slices.Equal(want, r.addresses(application)) }, patience, 5*time.Millisecond,
		"the listener does not know %v of %s", want, application)
}

// subscribe does what the framework does: it asks, passes on, and listens.
func subscribe(t testing.TB, d registry.ServiceDiscovery, applications ...string) *recorder {
	t.Helper()
	r := newRecorder(applications...)
	for _, application := range applications {
		require.NoError(t, r.OnEvent(registry.NewServiceInstancesChangedEvent(application, d.GetInstances(application))))
	}
	require.NoError(t, d.AddListener(r))
	return r
}

// remove is what the framework lacks.
func remove(d registry.ServiceDiscovery, r *recorder) {
	d.(interface {
		RemoveListener(registry.ServiceInstancesChangedListener)
	}).RemoveListener(r)
}

// values returns the keys below a prefix and their values.
func values(t testing.TB, client *clientv3.Client, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, kv := range list(t, client, prefix).Kvs {
		found[string(kv.Key)] = string(kv.Value)
	}
	return found
}

func list(t testing.TB, client *clientv3.Client, prefix string) *clientv3.GetResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	require.NoError(t, err)
	return response
}

func put(t testing.TB, client *clientv3.Client, key, value string) {
	t.Helper()
	_, err := client.Put(t.Context(), key, value)
	require.NoError(t, err)
}

func del(t testing.TB, client *clientv3.Client, key string) {
	t.Helper()
	_, err := client.Delete(t.Context(), key)
	require.NoError(t, err)
}
