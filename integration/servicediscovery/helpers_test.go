// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// open asks the framework for the service discovery at an address; params are
// pairs of a name and a value.
func open(t testing.TB, address string, params ...string) registry.ServiceDiscovery {
	t.Helper()
	return testkit.NewDiscovery(t, address, append([]string{
		"session", "2s", constant.RegistryTimeoutKey, "2s", "retry.interval", "200ms", "file-cache", "false",
	}, params...)...)
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
	testkit.Calls
	names *gxset.HashSet

	mu     sync.Mutex
	known  map[string][]registry.ServiceInstance // by application
	events int
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
	r.Enter()
	defer r.Leave()
	event := e.(*registry.ServiceInstancesChangedEvent)
	if r.during != nil {
		r.during()
	}
	for _, i := range event.Instances { // as the framework's listener does
		i.SetServiceMetadata(nil)
		i.GetMetadata()["seen"] = "by a listener"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
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
	_, ok := testkit.Within(testkit.LongPatience, func() bool { return slices.Equal(want, r.addresses(application)) })
	require.True(t, ok, "the listener knows %v of %s, want %v", r.addresses(application), application, want)
	r.RequireNoFaults(t)
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
