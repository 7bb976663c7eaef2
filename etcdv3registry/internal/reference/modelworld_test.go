// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/mapping"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/protocol/protocolwrapper"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// service is one that is served, or referred to.
type service struct{ name, group, version, protocol string }

const clock = "org.a.Clock"

// services are those that an instance of a history may serve, each by one bit.
var services = []service{{greeter, "", "", "tri"}, {greeter, "g", "1", "tri"}, {greeter, "", "", "dubbo"}, {clock, "", "", "tri"}}

// offer is an instance of an application: where it is and what it serves.
type offer struct {
	host    string
	port    int
	shape   int // 0: it names no endpoints; 1: tri is at its port, dubbo at the other; 2: the other way round
	other   int // port
	weight  int64
	tag     string
	note    string // a parameter of its services; see odd
	serves  byte   // bits of services; 0: it is there, and serves nothing
	created int64
}

// odd is the note of a provider that the framework panics over.
const odd = "odd"

func (o offer) key() string { return o.host + ":" + strconv.Itoa(o.port) }

// portOf is where a protocol is served, if it is not left to another instance.
func (o offer) portOf(protocol string) int {
	if o.shape == 0 || (o.shape == 1) == (protocol == "tri") {
		return o.port
	}
	return o.other
}

// provider is what a feed has of it; nil: it serves nothing.
func (o offer) provider(app string) *servicediscovery.Provider {
	instance := &registry.DefaultServiceInstance{ServiceName: app, Host: o.host, Port: o.port, Weight: o.weight, Tag: o.tag}
	if o.shape != 0 {
		instance.Metadata = map[string]string{constant.ServiceInstanceEndpoints: fmt.Sprintf(`[{"port":%d,"protocol":"tri"},{"port":%d,"protocol":"dubbo"}]`,
			o.portOf("tri"), o.portOf("dubbo"))}
	}
	all := map[string]*info.ServiceInfo{}
	for i, s := range services {
		if o.serves&(1<<i) != 0 {
			served := info.NewServiceInfo(s.name, s.group, s.version, s.protocol, s.name, map[string]string{"note": o.note, "of": strconv.Itoa(i)})
			all[served.GetMatchKey()] = served
		}
	}
	if len(all) == 0 {
		return nil
	}
	return servicediscovery.NewProvider(instance, o.created, all)
}

// market is a world of several services, in which things go wrong.
type market struct {
	*world
	reports [2]*modelReport
	center  *center
	offers  map[string]map[string]offer // by application and key
	created int64

	network sync.Mutex // guards what follows
	refused map[int]bool
	live    map[string]int // connections by address
}

func newMarket(w *world) *market {
	m := &market{world: w, offers: map[string]map[string]offer{}, refused: map[int]bool{}, live: map[string]int{}}
	for i, p := range []string{protocol, "zookeeper"} {
		m.reports[i] = &modelReport{market: m, protocol: p, names: map[string][]string{}}
	}
	m.center = &center{ends: map[*func()]struct{}{}}
	return m
}

// offer has an instance be there; nil: not any more.
func (m *market) offer(app, key string, o *offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offers[app] == nil {
		m.offers[app], m.apps[app] = map[string]offer{}, map[string]*servicediscovery.Provider{}
	}
	delete(m.offers[app], key)
	delete(m.apps[app], key)
	if o != nil {
		m.offers[app][key], m.apps[app][key] = *o, o.provider(app)
	}
	for f := range m.feeds {
		if f.app != app {
			continue
		}
		f.dirty[key] = true
		for sibling, s := range m.offers[app] { // who names what comes or goes is looked at again
			if s.shape != 0 && s.host+":"+strconv.Itoa(s.other) == key {
				f.dirty[sibling] = true
			}
		}
		delivery.Signal(f.changed)
	}
}

// reportsOf are the metadata reports that a reference asks.
func (m *market) reportsOf() []report.MetadataReport {
	return []report.MetadataReport{m.reports[0], m.reports[1]}
}

func (m *market) OnOverrides(f func()) (func(), error) { return m.center.onChange(f), nil }

// modelReport is a metadata report that tells as ours does: late, and after it
// could not be read, too.
type modelReport struct {
	report.MetadataReport
	*market
	protocol string

	// What follows is guarded by world.mu.
	names   map[string][]string // by interface
	away    bool
	err     error         // of who asks while it is away
	slow    time.Duration // before it answers
	late    time.Duration // before it tells
	follows []*following
}

type following struct {
	service string
	to      mapping.MappingListener
	told    []string
}

func (r *modelReport) URL() *common.URL {
	return common.NewURLWithOptions(common.WithProtocol(r.protocol))
}

func (r *modelReport) GetServiceAppMapping(service, _ string, l mapping.MappingListener) (*gxset.HashSet, error) {
	r.mu.Lock()
	f := &following{service: service, to: l}
	err := r.err
	if !r.away {
		f.told, err = slices.Clone(r.names[service]), nil
	}
	told, slow := f.told, r.slow
	r.follows = append(r.follows, f)
	r.mu.Unlock()
	time.Sleep(slow)
	return setOf(told), err
}

func (r *modelReport) RemoveServiceAppMappingListener(service, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(r.t, protocol, r.protocol, "that may be listened to by others")
	r.follows = slices.DeleteFunc(r.follows, func(f *following) bool {
		return f.service == service && f.to.(*mappingListener).Stopped()
	})
	return nil
}

// change changes the report, which tells of it.
func (r *modelReport) change(change func(*modelReport)) {
	r.mu.Lock()
	change(r)
	late := r.late
	r.mu.Unlock()
	if late == 0 {
		r.tell()
	} else {
		time.AfterFunc(late, r.tell)
	}
}

func (r *modelReport) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.follows {
		if names := r.names[f.service]; !r.away && !slices.Equal(names, f.told) {
			f.told = slices.Clone(names)
			assert.NoError(r.t, f.to.OnEvent(registry.NewServiceMappingChangedEvent(f.service, setOf(names))))
		}
	}
}

// center is a config center with dynamic overrides of one application.
type center struct {
	config_center.DynamicConfiguration

	mu        sync.Mutex // guards what follows
	rules     map[string]string
	listeners map[string][]config_center.ConfigurationListener
	ends      map[*func()]struct{}
}

func (c *center) Parser() parser.ConfigurationParser { return &parser.DefaultConfigurationParser{} }

func (c *center) AddListener(key string, l config_center.ConfigurationListener, _ ...config_center.Option) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners == nil {
		c.listeners = map[string][]config_center.ConfigurationListener{}
	}
	c.listeners[key] = append(c.listeners[key], l)
}

func (c *center) GetRule(key string, _ ...config_center.Option) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rules[key], nil
}

func (c *center) onChange(f func()) (undo func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[&f] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.ends, &f)
	}
}

// set changes a rule, and tells: the framework first, and a moment later everybody
// else. Empty: there is none any more.
func (c *center) set(key, rule string) {
	c.mu.Lock()
	c.rules = map[string]string{key: rule}
	listeners := slices.Clone(c.listeners[key])
	c.mu.Unlock()
	kind := remoting.EventTypeUpdate
	if rule == "" {
		kind = remoting.EventTypeDel
	}
	for _, l := range listeners {
		l.Process(&config_center.ConfigChangeEvent{Key: key, Value: rule, ConfigType: kind})
	}
	time.AfterFunc(100*time.Millisecond, c.changed)
}

func (c *center) changed() {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.ends))
	c.mu.Unlock()
	for _, f := range all {
		(*f)()
	}
}

// connecting is the protocol by which the framework's directory calls: it has a
// connection to an address, which all share, as long as somebody calls there, and
// cannot make one to who refuses.
type connecting struct{ base.Protocol }

// marketKey is the attribute of a reference's URL that says in which market it is.
const marketKey = "market"

func init() {
	extension.SetProtocol(protocolwrapper.FILTER, func() base.Protocol { return connecting{} })
}

type connected struct {
	*base.BaseInvoker
	market *market
	at     string
	end    sync.Once
}

func (connecting) Refer(u *common.URL) base.Invoker {
	from, _ := u.GetAttribute(marketKey)
	m := from.(*market)
	m.network.Lock()
	defer m.network.Unlock()
	port, _ := strconv.Atoi(u.Port)
	switch {
	case u.GetParam("note", "") == odd:
		panic("an odd provider")
	case m.live[u.Location] == 0 && m.refused[port]:
		return nil
	}
	m.live[u.Location]++
	return &connected{BaseInvoker: base.NewBaseInvoker(u), market: m, at: u.Location}
}

func (c *connected) Destroy() {
	c.end.Do(func() {
		c.BaseInvoker.Destroy()
		c.market.network.Lock()
		defer c.market.network.Unlock()
		if c.market.live[c.at]--; c.market.live[c.at] == 0 {
			delete(c.market.live, c.at)
		}
	})
}
