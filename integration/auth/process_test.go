// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// process is all that this module does in a process, as one user of etcd: what is
// asked for anew, and what has been listened to for long. Its names have the name
// in them, so that its lines in the log can be told apart.
type process struct {
	name      string
	address   string
	params    []string
	registry  registry.Registry
	discovery registry.ServiceDiscovery
	report    report.MetadataReport
	center    config_center.DynamicConfiguration

	steps     int
	providers testkit.Listener // of service
	instances instances        // of application
	mappings  mappings         // of service
	rules     rules            // of rule
}

func (p *process) service() string     { return "org." + p.name + ".Greeter" }
func (p *process) application() string { return p.name + "-shop" }
func (p *process) rule() string        { return p.application() + ".tag-router" }

// prefixes is what the process reads and writes.
func (p *process) prefixes() []string {
	return []string{"/dubbo/org." + p.name + ".", "/services/" + p.name, "/dubbo/mapping/org." + p.name + ".", "/dubbo/" + p.name, "/dubbo/config/"}
}

// newProcess starts a process that listens to everything. params are pairs of a
// name and a value.
func newProcess(t *testing.T, name, address string, params ...string) *process {
	t.Helper()
	p := &process{name: name, address: address, params: append([]string{"session", "3s", "retry.interval", "200ms", "file-cache", "false"}, params...)}
	p.registry = testkit.NewRegistry(t, address, p.params...)
	p.discovery = testkit.NewDiscovery(t, address, p.params...)
	p.report = testkit.NewReport(t, address, p.params...)
	p.center = testkit.NewCenter(t, address, p.params...)
	testkit.Subscribe(t, p.registry, testkit.Consumer(p.service()), &p.providers)
	p.instances.listenTo(t, p.discovery, p.application())
	_, err := p.report.GetServiceAppMapping(p.service(), "mapping", &p.mappings)
	require.NoError(t, err)
	p.center.AddListener(p.rule(), &p.rules)
	return p
}

// requireAll has the process do all that it is for, with what it has not used
// before, and those who have listened for long hear of it.
func (p *process) requireAll(t *testing.T) {
	t.Helper()
	p.steps++
	p.register(t, p.steps)
	p.providers.RequireAddresses(t, p.addresses()...)
	fresh := &testkit.Listener{}
	testkit.Subscribe(t, p.registry, testkit.Consumer(p.service(), "version", fmt.Sprint(p.steps)), &testkit.Listener{})
	other := fmt.Sprintf("org.%s.Service%d", p.name, p.steps) // watched by nobody yet
	testkit.Subscribe(t, p.registry, testkit.Consumer(other), fresh)
	require.NoError(t, p.registry.Register(testkit.Provider(other, testkit.Address(1))))
	fresh.RequireAddresses(t, testkit.Address(1))

	require.NoError(t, p.discovery.Register(&registry.DefaultServiceInstance{ServiceName: p.application(), Host: "10.0.0.1", Port: p.steps, Enable: true, Healthy: true}))
	p.instances.requireKnown(t, p.steps)
	new := &instances{}
	new.listenTo(t, p.discovery, fmt.Sprintf("%s-%d", p.name, p.steps))
	require.NoError(t, p.discovery.Register(&registry.DefaultServiceInstance{ServiceName: new.application, Host: "10.0.0.1", Port: 1, Enable: true, Healthy: true}))
	new.requireKnown(t, 1)

	require.NoError(t, p.report.RegisterServiceAppMapping(p.service(), "mapping", fmt.Sprint("app", p.steps)))
	require.NoError(t, p.report.PublishAppMetadata(p.application(), fmt.Sprint(p.steps), info.NewMetadataInfo(p.application(), "")))
	_, err := p.report.GetAppMetadata(p.application(), fmt.Sprint(p.steps))
	require.NoError(t, err)
	p.mappings.requireKnown(t, fmt.Sprint("app", p.steps))

	require.NoError(t, p.center.PublishConfig(p.rule(), "dubbo", fmt.Sprint("rule ", p.steps)))
	p.rules.RequireLast(t, fmt.Sprint("rule ", p.steps))
	value, err := p.center.GetRule(p.rule())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint("rule ", p.steps), value)
}

// key is that of a provider of the service, as somebody else may put it.
func (p *process) key(i int) string {
	return "/dubbo/" + p.service() + "/providers/" + url.QueryEscape("tri://"+testkit.Address(i)+"/"+p.service()+"?interface="+p.service())
}

func (p *process) register(t *testing.T, i int) {
	t.Helper()
	require.NoError(t, p.registry.Register(testkit.Provider(p.service(), testkit.Address(i))))
}

// addresses are those of the providers that were registered.
func (p *process) addresses() (all []string) {
	for i := range p.steps {
		all = append(all, testkit.Address(i+1))
	}
	return all
}

// instances is a listener of the framework to one application.
type instances struct {
	application string

	mu    sync.Mutex
	ports []int
}

func (l *instances) listenTo(t *testing.T, d registry.ServiceDiscovery, application string) {
	t.Helper()
	l.application = application
	d.GetInstances(application)
	require.NoError(t, d.AddListener(l))
}

func (l *instances) OnEvent(e observer.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports = nil
	for _, i := range e.(*registry.ServiceInstancesChangedEvent).Instances {
		l.ports = append(l.ports, i.GetPort())
	}
	return nil
}

func (l *instances) known() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ports)
}

func (l *instances) requireKnown(t *testing.T, port int) {
	t.Helper()
	require.True(t, testkit.Eventually(func() bool { return slices.Contains(l.known(), port) }), "nobody was told of port %d of %s", port, l.application)
}

func (l *instances) AddListenerAndNotify(string, registry.NotifyListener) {}
func (l *instances) RemoveListener(string)                                {}
func (l *instances) Accept(observer.Event) bool                           { return true }
func (l *instances) GetPriority() int                                     { return -1 }
func (l *instances) GetEventType() reflect.Type {
	return reflect.TypeFor[*registry.ServiceInstancesChangedEvent]()
}

func (l *instances) GetServiceNames() *gxset.HashSet {
	names := gxset.NewSet()
	names.Add(l.application)
	return names
}

// mappings is a listener of the framework to one mapping.
type mappings struct {
	mu    sync.Mutex
	names []string
}

func (l *mappings) OnEvent(e observer.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = testkit.Strings(e.(*registry.ServiceMappingChangeEvent).GetServiceNames())
	return nil
}

func (l *mappings) Stop() {}

func (l *mappings) known() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.names)
}

func (l *mappings) requireKnown(t *testing.T, name string) {
	t.Helper()
	require.True(t, testkit.Eventually(func() bool { return slices.Contains(l.known(), name) }), "nobody was told of the application %s", name)
}

// rules is a listener of the framework to one rule.
type rules struct{ testkit.Told }

func (l *rules) Process(e *config_center.ConfigChangeEvent) { l.Tell(e.Value.(string)) }
