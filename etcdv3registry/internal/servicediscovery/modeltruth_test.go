// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
)

// What there is in a history. One application's name begins with another's.
var (
	apps      = []string{"shop", "shopping", "inn"}
	hosts     = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} // the last two are of the owners
	ports     = []int{20000, 20001}
	revisions = []string{"r1", "r2", "r3", "r4", "0", "", "r1", "r2"}
)

// served is what the revisions serve, by the protocol of each service. All but these
// serve nothing.
var served = map[string]map[string]string{
	"r1": {"org.a.Greeter": "tri"},
	"r2": {"org.a.Greeter": "tri", "org.a.Clock": "tri"},
	"r3": {"org.a.Greeter": "dubbo", "org.a.Clock": "tri"},
}

// instance is one that was put, in the words of the model.
type instance struct {
	app, host string
	port      int
	revision  string
	weight    int64
	tag       string
	both      bool // it names the endpoints of both ports
	stamp     int  // tells it apart from others that are the same
}

func (i *instance) String() string {
	return fmt.Sprintf("%s:%d %s %d %s %v #%d", i.host, i.port, i.revision, i.weight, i.tag, i.both, i.stamp)
}

// key returns where it is put.
func (i *instance) key() string { return fmt.Sprintf("/services/%s/%s:%d", i.app, i.host, i.port) }

const bothEndpoints = `[{"port":20000,"protocol":"tri"},{"port":20001,"protocol":"dubbo"}]`

// registered is what the framework registers.
func (i *instance) registered() *registry.DefaultServiceInstance {
	r := &registry.DefaultServiceInstance{
		ServiceName: i.app, Host: i.host, Port: i.port, Enable: true, Healthy: true, Weight: i.weight, Tag: i.tag,
		Metadata: map[string]string{"stamp": fmt.Sprint(i.stamp)},
	}
	if i.revision != "" {
		r.Metadata[constant.ExportedServicesRevisionPropertyName] = i.revision
	}
	if i.both {
		r.Metadata[constant.ServiceInstanceEndpoints] = bothEndpoints
	}
	return r
}

// value is what stands in etcd.
func (i *instance) value() string {
	k, err := keyOf("/services", i.registered())
	if err != nil {
		panic(err)
	}
	return k.Value
}

// toldOf says what a listener was told.
func toldOf(instances []registry.ServiceInstance) string {
	var all []string
	for _, i := range instances {
		m := i.GetMetadata()
		all = append(all, fmt.Sprintf("%s:%d %s %d %s %v #%s", i.GetHost(), i.GetPort(), m[constant.ExportedServicesRevisionPropertyName],
			i.GetWeight(), i.GetTag(), m[constant.ServiceInstanceEndpoints] != "", m["stamp"]))
	}
	return strings.Join(all, ", ")
}

// truth is what etcd has of an application.
type truth struct {
	keys      int // that have an address, whatever is under them
	all       int
	instances map[string]*instance // by key
	began     map[string][2]int64  // when each was created, and changed last
}

// truth reads etcd.
func (h *history) truth() map[string]*truth {
	all := map[string]*truth{}
	client := h.e.Client(h.t)
	for _, app := range apps {
		found, err := client.Get(h.t.Context(), "/services/"+app+"/", clientv3.WithPrefix())
		require.NoError(h.t, err)
		t := &truth{all: len(found.Kvs), instances: map[string]*instance{}, began: map[string][2]int64{}}
		for _, kv := range found.Kvs {
			key := string(kv.Key)
			if strings.Count(key, "/") == 3 {
				t.keys++
			}
			if i := h.instances[string(kv.Value)]; i != nil && i.key() == key {
				t.instances[key] = i
				t.began[key] = [2]int64{kv.CreateRevision, kv.ModRevision}
			}
		}
		all[app] = t
	}
	return all
}

// told is what a listener has to have been told last.
func (t *truth) told() string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(t.instances)) {
		all = append(all, t.instances[key].String())
	}
	return strings.Join(all, ", ")
}

// urls are those by which an instance is called.
func (t *truth) urls(i *instance) []string {
	var urls []string
	for service, protocol := range served[i.revision] {
		for _, port := range t.portsOf(i, protocol) {
			urls = append(urls, fmt.Sprintf("%s://%s:%d/%s of %s %s %d %s", protocol, i.host, port, service, i.app, i.revision, i.weight, i.tag))
		}
	}
	slices.Sort(urls)
	return urls
}

// portsOf returns where an instance serves a protocol: an endpoint with an instance of
// its own is called by that.
func (t *truth) portsOf(i *instance, protocol string) []int {
	if !i.both {
		return []int{i.port}
	}
	port := map[string]int{"tri": 20000, "dubbo": 20001}[protocol]
	other := &instance{app: i.app, host: i.host, port: port}
	if port != i.port && t.instances[other.key()] != nil {
		return nil
	}
	return []int{port}
}

// mood is how whoever is asked for metadata answers.
type mood int

const (
	well mood = iota
	fails
	hangs    // and fails after some seconds
	slow     // and answers
	empties  // no error, and no metadata
	panicks  // the framework does
	garbles  // services that are none, and no answer
	lastMood // is none
)

func (m mood) String() string {
	return [...]string{"answers", "fails", "hangs", "is slow", "has no metadata", "panics", "garbles"}[m]
}

// moods are those of the applications, the revisions and the hosts.
type moods struct {
	t *testing.T

	mu     sync.Mutex // guards what follows
	of     map[string]mood
	mended time.Time // when somebody was not well last
}

func (m *moods) set(name string, to mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[name] = to
	if m.mended = time.Now(); to == well {
		delete(m.of, name)
	}
}

// areWell reports whether all have been for a while.
func (m *moods) areWell(since time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.of) == 0 && time.Since(m.mended) > since
}

func (m *moods) well() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.of)
}

func (m *moods) ask(app, revision string, i registry.ServiceInstance) (*info.MetadataInfo, error) {
	assert.Equal(m.t, app, i.GetServiceName(), "who is asked")
	assert.Equal(m.t, revision, i.GetMetadata()[constant.ExportedServicesRevisionPropertyName], "what is asked for")
	m.mu.Lock()
	assert.NotContains(m.t, m.of, "", "somebody is asked when all have left")
	now := max(m.of[app], m.of[app+" "+revision], m.of[i.GetHost()])
	m.mu.Unlock()
	switch now {
	case fails:
		return nil, errors.New("it does not answer")
	case hangs:
		time.Sleep(5 * time.Second)
		return nil, errors.New("it took too long")
	case slow:
		time.Sleep(hedge + 200*time.Millisecond)
	case empties:
		return nil, nil
	case panicks:
		panic("no such protocol")
	case garbles:
		return info.NewMetadataInfoWithParams(app, revision, map[string]*info.ServiceInfo{"x": nil}), errors.New("it makes no sense")
	}
	services := map[string]*info.ServiceInfo{"odd": nil}
	for name, protocol := range served[revision] {
		services[name] = info.NewServiceInfo(name, "", "", protocol, name, map[string]string{"of": app + " " + revision})
	}
	return info.NewMetadataInfoWithParams(app, revision, services), nil
}

// checkOwners looks whether what other processes have registered is there.
func (h *history) checkOwners(all map[string]*truth) {
	for n, d := range h.owners {
		for _, name := range d.user.Registrations.Slots() {
			for _, t := range all {
				if i := t.instances[name]; i != nil {
					name = ""
				}
			}
			assert.Empty(h.t, name, "an instance of owner %d is not in etcd", n)
		}
	}
}

// checkStatus looks whether the status of the process says what is followed, and
// that all is well.
func (h *history) checkStatus(all map[string]*truth) {
	want := map[string]int{} // keys, by prefix
	for _, r := range h.readers {
		for app := range r.feeds {
			want["/services/"+app+"/"] = all[app].all
		}
	}
	for _, l := range h.listeners {
		for app := range l.apps() {
			want["/services/"+app+"/"] = all[app].all
		}
	}
	for _, s := range cluster.Statuses() {
		if s.Endpoints[0] != h.t.Name() {
			continue
		}
		got := map[string]int{}
		for _, m := range s.Watches.Mirrors {
			got[m.Prefix] = m.Keys
			assert.True(h.t, m.Listed)
			assert.Zero(h.t, m.Retained)
			assert.Zero(h.t, m.StaleSince)
			require.NoError(h.t, m.Err)
		}
		assert.Equal(h.t, want, got, "the prefixes that are followed, and how many keys each has")
		for _, r := range s.Watches.Readers {
			assert.Zero(h.t, r.Pending, r.Name)
			assert.True(h.t, r.Listed, r.Name)
			assert.Zero(h.t, r.Telling, r.Name)
			assert.NotZero(h.t, r.Told, r.Name)
		}
	}
}
