// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router/chain"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/mapping"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

const greeter = "org.a.Greeter"

// world is what a subscription sees: mappings, applications, overrides.
type world struct {
	t        *testing.T
	patience servicediscovery.Patience

	mu        sync.Mutex // guards what follows
	names     []string
	fails     error
	mappings  []mapping.MappingListener
	apps      map[string]map[string]*servicediscovery.Provider
	unsettled map[string]bool
	feeds     map[*fakeFeed]bool
	overrides func()
}

type fakeFeed struct {
	world   *world
	app     string
	changed chan struct{}
	dirty   map[string]bool
}

func newWorld(t *testing.T) *world {
	return &world{t: t, apps: map[string]map[string]*servicediscovery.Provider{}, unsettled: map[string]bool{}, feeds: map[*fakeFeed]bool{}}
}

func (w *world) Timeout() time.Duration { return 5 * time.Second }

func (w *world) Patience() *servicediscovery.Patience { return &w.patience }

func (w *world) OnOverrides(f func()) (func(), error) {
	w.overrides = f
	return func() { w.overrides = nil }, nil
}

func (w *world) Open(app string, changed chan struct{}) (feed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &fakeFeed{w, app, changed, map[string]bool{}}
	for key := range w.apps[app] {
		f.dirty[key] = true
	}
	w.feeds[f] = true
	delivery.Signal(changed)
	return f, nil
}

func (f *fakeFeed) Take() []servicediscovery.Change {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	var changes []servicediscovery.Change
	for _, key := range slices.Sorted(maps.Keys(f.dirty)) {
		changes = append(changes, servicediscovery.Change{Key: key, Provider: f.world.apps[f.app][key]})
	}
	clear(f.dirty)
	return changes
}

func (f *fakeFeed) Settled() bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	return !f.world.unsettled[f.app]
}

func (f *fakeFeed) IsInstance(address string) bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	_, known := f.world.apps[f.app][address]
	return known
}

func (f *fakeFeed) Close() {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	delete(f.world.feeds, f)
}

// put has an instance of an application serve the greeter, with a weight.
func (w *world) put(app, host string, weight int64) {
	w.set(app, host, serving(app, host, 20000, weight, 7))
}

// serving is an instance that serves the greeter, created in a revision.
func serving(app, host string, port int, weight, created int64) *servicediscovery.Provider {
	service := info.NewServiceInfo(greeter, "", "", "tri", greeter, nil)
	return servicediscovery.NewProvider(&registry.DefaultServiceInstance{
		ServiceName: app, Host: host, Port: port, Weight: weight,
	}, created, map[string]*info.ServiceInfo{service.MatchKey: service})
}

func (w *world) set(app, host string, p *servicediscovery.Provider) {
	w.setAll(app, map[string]*servicediscovery.Provider{host: p})
}

// setAll changes several hosts at once; nil: there is none any more.
func (w *world) setAll(app string, all map[string]*servicediscovery.Provider) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.apps[app] == nil {
		w.apps[app] = map[string]*servicediscovery.Provider{}
	}
	for host, p := range all {
		if w.apps[app][host] = p; p == nil {
			delete(w.apps[app], host)
		}
		for f := range w.feeds {
			if f.app == app {
				f.dirty[host] = true
				delivery.Signal(f.changed)
			}
		}
	}
}

func (w *world) settle(app string, settled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsettled[app] = !settled
	for f := range w.feeds {
		delivery.Signal(f.changed)
	}
}

// mapTo has the greeter be served by other applications.
func (w *world) mapTo(names ...string) {
	w.mu.Lock()
	w.names = names
	listeners := slices.Clone(w.mappings)
	w.mu.Unlock()
	for _, l := range listeners {
		require.NoError(w.t, l.OnEvent(registry.NewServiceMappingChangedEvent(greeter, setOf(names))))
	}
}

func (w *world) open() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var apps []string
	for f := range w.feeds {
		apps = append(apps, f.app)
	}
	slices.Sort(apps)
	return apps
}

func setOf(names []string) *gxset.HashSet {
	set := gxset.NewSet()
	for _, name := range names {
		set.Add(name)
	}
	return set
}

// worldReport is the world's metadata report.
type worldReport struct {
	report.MetadataReport
	*world
}

func (r worldReport) URL() *common.URL {
	return common.NewURLWithOptions(common.WithProtocol(protocol))
}

func (r worldReport) GetServiceAppMapping(service, _ string, l mapping.MappingListener) (*gxset.HashSet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(r.t, greeter, service)
	r.mappings = append(r.mappings, l)
	return setOf(r.names), r.fails
}

func (r worldReport) RemoveServiceAppMappingListener(string, string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mappings = slices.DeleteFunc(r.mappings, func(l mapping.MappingListener) bool { return l.(*mappingListener).Stopped() })
	return nil
}

// fakeDirectory is told as the framework's is, and keeps what it has in a chain.
type fakeDirectory struct {
	chain *invokers.Chain

	mu      sync.Mutex // guards what follows
	calls   []string
	has     map[string]*common.URL
	refuses map[string]bool // hosts that it cannot connect to
	buried  map[string]bool // keys
	panics  map[string]bool
}

func newDirectory() *fakeDirectory {
	return &fakeDirectory{chain: &invokers.Chain{Chain: &chain.RouterChain{}}, has: map[string]*common.URL{}, refuses: map[string]bool{}, buried: map[string]bool{}, panics: map[string]bool{}}
}

func (d *fakeDirectory) Notify(e *registry.ServiceEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprint(e.Action, " ", e.Service.Ip, " ", e.Service.GetParam(constant.WeightKey, "")))
	d.one(e)
	d.route()
}

func (d *fakeDirectory) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprint("all ", len(events)))
	clear(d.has)
	for _, e := range events {
		d.one(e)
	}
	d.route()
}

func (d *fakeDirectory) one(e *registry.ServiceEvent) {
	switch {
	case d.panics[e.Service.Ip]:
		panic("an odd provider")
	case e.Action == remoting.EventTypeDel:
		delete(d.has, e.Key())
	case !d.refuses[e.Service.Ip] && !d.buried[e.Key()]:
		d.has[e.Key()] = e.Service
	}
}

func (d *fakeDirectory) route() {
	var invokers []base.Invoker
	for _, u := range d.has {
		invokers = append(invokers, base.NewBaseInvoker(u))
	}
	d.chain.SetInvokers(invokers)
}

func (d *fakeDirectory) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

func (d *fakeDirectory) hosts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var hosts []string
	for _, u := range d.has {
		hosts = append(hosts, u.Ip)
	}
	slices.Sort(hosts)
	return hosts
}

func (d *fakeDirectory) refuse(host string, refused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses[host] = refused
}

// end removes a host, as dubbo-go does when a provider says that it is about to
// stop.
func (d *fakeDirectory) end(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, u := range d.has {
		if u.Ip == host {
			delete(d.has, id)
		}
	}
	d.route()
}

// tombstone removes all, and does not take them again by the same keys.
func (d *fakeDirectory) tombstone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.has {
		d.buried[id] = true
	}
	clear(d.has)
	d.route()
}

func (d *fakeDirectory) keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.has))
}
