// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
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

func (w *world) Timeout() time.Duration               { return 5 * time.Second }
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

func (f *fakeFeed) IsInstance(string) bool { return false }

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
	chain *chain

	mu      sync.Mutex // guards what follows
	calls   []string
	has     map[string]*common.URL
	refuses map[string]bool // hosts that it cannot connect to
	buried  map[string]bool // keys
	panics  map[string]bool
}

// noRouters is the end of a chain.
type noRouters struct{ router.Chain }

func (noRouters) SetInvokers([]base.Invoker) {}

func newDirectory() *fakeDirectory {
	return &fakeDirectory{chain: &chain{Chain: noRouters{}}, has: map[string]*common.URL{}, refuses: map[string]bool{}, buried: map[string]bool{}, panics: map[string]bool{}}
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

// refer makes a subscription to the greeter, which is closed with the test.
func refer(t *testing.T, w *world, params ...string) (*subscription, *fakeDirectory) {
	u := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithPath(greeter), common.WithInterface(greeter))
	for i := 0; i < len(params); i += 2 {
		u.SetParam(params[i], params[i+1])
	}
	d := newDirectory()
	s := newSubscription(w, common.NewURLWithOptions(), u, d, d.chain)
	s.names.reports = func() []report.MetadataReport { return []report.MetadataReport{worldReport{world: w}} }
	t.Cleanup(s.close)
	return s, d
}

func TestAReferenceThatStartsIsToldAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a", "b")
		w.put("a", "10.0.0.1", 1)
		w.put("b", "10.0.0.2", 1)
		s, d := refer(t, w)
		begun := time.Now()
		require.NoError(t, s.start())
		assert.Zero(t, time.Since(begun))
		assert.Equal(t, []string{"all 2"}, d.told())
		w.put("b", "10.0.0.3", 1)
		w.put("a", "10.0.0.1", 2)
		w.set("b", "10.0.0.2", nil)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"add 10.0.0.3 1", "update 10.0.0.1 2", "delete 10.0.0.2 1"}, d.told())
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.3"}, d.hosts())
		w.overrides()
		synctest.Wait()
		assert.Equal(t, []string{"all 2"}, d.told(), "so that it applies them")
	})
}

func TestAnApplicationThatJoinsTakesNobodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		assert.Empty(t, d.told())
		w.put("a", "10.0.0.1", 1)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"all 1"}, d.told())
		w.put("b", "10.0.0.2", 1)
		w.mapTo("a", "b")
		synctest.Wait()
		w.put("a", "10.0.0.3", 1)
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.2 1", "add 10.0.0.3 1"}, d.told())
	})
}

func TestAnApplicationWhoseNameGotLostIsCalledAsLongAsItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a", "b")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		d.told()
		w.mapTo()
		synctest.Wait()
		assert.Empty(t, d.told())
		assert.Equal(t, []string{"a"}, w.open(), "b has nobody")
		w.set("a", "10.0.0.1", nil)
		synctest.Wait()
		assert.Equal(t, []string{"delete 10.0.0.1 1"}, d.told())
		assert.Empty(t, w.open())
		w.put("a", "10.0.0.1", 1)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.1 1"}, d.told())
	})
}

// A start from the cache file, or another store.
func TestAnInstanceThatIsNewByItsStartAloneGoesOnAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.set("a", "10.0.0.1", serving("a", "10.0.0.1", 20000, 1, 0))
		s, d := refer(t, w)
		require.NoError(t, s.start())
		assert.Equal(t, []string{"all 1"}, d.told())
		w.put("a", "10.0.0.1", 1)
		synctest.Wait()
		assert.Empty(t, d.told())
		w.put("a", "10.0.0.1", 2)
		synctest.Wait()
		assert.Equal(t, []string{"update 10.0.0.1 2"}, d.told())
		w.set("a", "10.0.0.1", nil)
		synctest.Wait()
		assert.Empty(t, d.hosts())
	})
}

func TestWhoComesIsToldOfBeforeWhoGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		d.told()
		w.setAll("a", map[string]*servicediscovery.Provider{"10.0.0.1": nil, "10.0.0.2": serving("a", "10.0.0.2", 20000, 1, 7)})
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.2 1", "delete 10.0.0.1 1"}, d.told())
	})
}

func TestApplicationsThatTheReferenceNamesAreNotLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("b", "10.0.0.2", 1)
		s, d := refer(t, w, constant.ProvidedBy, "a, b")
		require.NoError(t, s.start())
		assert.Equal(t, []string{"10.0.0.2"}, d.hosts())
		w.put("a", "10.0.0.1", 1)
		synctest.Wait()
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, d.hosts())
		assert.Empty(t, w.mappings)
	})
}

func TestAReportThatFailsIsAnErrorAndHeardOfLaterAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fails = assert.AnError
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.ErrorIs(t, s.start(), assert.AnError)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"10.0.0.1"}, d.hosts())
	})
}

func TestAnUnsettledApplicationIsWaitedForNotForLongAndNotByEachReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.settle("a", false)
		begun := time.Now()
		for range 5 {
			s, _ := refer(t, w)
			require.NoError(t, s.start())
		}
		assert.Equal(t, w.Timeout()+4*little, time.Since(begun), "in all")

		time.Sleep(time.Hour)
		begun = time.Now()
		s, _ := refer(t, w)
		time.AfterFunc(time.Second, func() { w.settle("a", true) })
		require.NoError(t, s.start())
		assert.Equal(t, time.Second, time.Since(begun))

		w.settle("a", false)
		w.put("a", "10.0.0.1", 1)
		begun = time.Now()
		s, _ = refer(t, w)
		require.NoError(t, s.start())
		assert.Equal(t, complete, time.Since(begun), "with a provider a reference can begin")
	})
}

func TestAListThatTheDirectoryPanicsOverIsToldOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		for n := range 3 {
			w.put("a", fmt.Sprintf("10.0.0.%d", n+1), 1)
		}
		s, d := refer(t, w)
		d.panics["10.0.0.2"] = true
		require.NoError(t, s.start())
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.3"}, d.hosts())
	})
}

func TestNothingIsToldAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		other, kept := refer(t, w)
		require.NoError(t, s.start())
		require.NoError(t, other.start())
		s.close()
		s.close()
		d.told()
		w.put("a", "10.0.0.2", 1)
		w.mapTo("a", "b")
		synctest.Wait()
		assert.Empty(t, d.told())
		assert.Len(t, kept.hosts(), 2, "the other one goes on")
		assert.Len(t, w.mappings, 1)
		assert.Equal(t, []string{"a", "b"}, w.open())
		require.Error(t, s.start(), "it has been closed")
		synctest.Wait()
		assert.Len(t, w.mappings, 1)
	})
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
