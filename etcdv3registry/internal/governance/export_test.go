// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"context"
	"maps"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	_ "dubbo.apache.org/dubbo-go/v3/config_center/configurator" // which applies a rule
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// provider exports itself again as the framework does: with the rule that it was
// told of last written over what it exports, if the rule is about its service.
type provider struct {
	t       *testing.T
	url     *common.URL
	origin  *Origin
	exports int // after the first one
}

func newProvider(t *testing.T, params ...string) *provider {
	u := urltest.URL("provider", "10.0.0.1", "20000", urltest.Greeter, append([]string{
		"interface", urltest.Greeter, "application", "shop", "side", "provider", "group", "g", "version", "1",
	}, params...)...)
	return &provider{t: t, url: u, origin: &Origin{}}
}

// told subscribes as what is exported now, and is told of rules.
func (p *provider) told(raws ...string) {
	p.t.Helper()
	var events []*registry.ServiceEvent
	for _, u := range rules(p.t, raws...) {
		events = append(events, added(u))
	}
	calls := 0
	NewExport(p.url, p, p.origin).NotifyAll(events, func() { calls++ })
	assert.Equal(p.t, 1, calls)
}

func (p *provider) Notify(e *registry.ServiceEvent) {
	require.EqualValues(p.t, remoting.EventTypeAdd, e.Action, "others are not looked at")
	for _, name := range []string{constant.InterfaceKey, constant.GroupKey, constant.VersionKey, constant.ClassifierKey} {
		require.Equal(p.t, p.url.GetParam(name, ""), e.Service.GetParam(name, ""), "the framework compares it")
	}
	require.Equal(p.t, constant.ConfiguratorsCategory, e.Service.GetParam(constant.CategoryKey, ""))
	again := p.url.Clone()
	extension.GetDefaultConfigurator(e.Service).Configure(again)
	require.NotEqual(p.t, p.url.String(), again.String(), "it is told of nothing that changes nothing")
	p.url = again
	p.exports++
}

func (p *provider) NotifyAll([]*registry.ServiceEvent, func()) {
	p.t.Error("the framework applies each rule of a list, and exports after each")
}

// exported returns what is exported besides what never changes.
func (p *provider) exported() map[string]string {
	params := paramsOf(p.url)
	maps.DeleteFunc(params, func(name, value string) bool {
		return value == "" || name == constant.InterfaceKey || name == constant.ApplicationKey || name == constant.SideKey ||
			name == constant.GroupKey || name == constant.VersionKey || name == constant.CategoryKey
	})
	return params
}

const rule0 = "override://0.0.0.0/org.example.Greeter?group=g&version=1&"

func TestAProviderIsExportedOnceForAllRulesAndAgainOnlyIfTheyChangeIt(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "timeout", "3000")
	p.told()
	assert.Zero(t, p.exports)
	p.told(rule0+"timeout=10", rule0+"weight=5", rule0+"timeout=20")
	assert.Equal(t, map[string]string{"timeout": "20", "weight": "5"}, p.exported())
	assert.Equal(t, 1, p.exports)
	p.told(rule0+"weight=5", rule0+"timeout=20") // as it hears when it subscribes with what it exports now
	p.told(rule0 + "weight=5&timeout=20")
	p.told(rule0+"weight=5&timeout=20", rule0+"application=other&timeout=1", rule0+"side=consumer&timeout=1")
	assert.Equal(t, 1, p.exports)
	p.told(rule0 + "timeout=20")
	assert.Equal(t, map[string]string{"timeout": "20"}, p.exported())
	p.told()
	assert.Equal(t, map[string]string{"timeout": "3000"}, p.exported())
	assert.Equal(t, 3, p.exports)
}

func TestARuleOfTheConfigCenterLeavesNothingBehindWhenItHasGone(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "weight", "100")
	p.told()
	p.url.SetParam("weight", "5") // the framework has applied one, and exported that
	p.told()
	assert.Zero(t, p.exports, "what the framework does is left alone")
	p.origin.Restore([]string{"weight", "group", "mock"})
	p.told()
	assert.Equal(t, map[string]string{"weight": "100"}, p.exported())
	assert.Equal(t, "g", p.url.Group(), "which no rule changes")
	p.told()
	assert.Equal(t, 1, p.exports)
	p.told(rule0 + "weight=7")
	assert.Equal(t, "7", p.exported()["weight"])
	p.told()
	assert.Equal(t, "100", p.exported()["weight"])
}

func TestOnlyTheFrameworksProviderIsTreatedAsOne(t *testing.T) {
	t.Parallel()
	u := newProvider(t).url
	assert.False(t, IsExport(u, &recorder{}))
	assert.False(t, IsExport(u, nil))
	assert.False(t, IsReference(&recorder{}))
	assert.False(t, IsReference(nil))
	assert.True(t, IsReference(&shelf{}))
}

func TestProvidersAreToldApartByAddressAndService(t *testing.T) {
	t.Parallel()
	one := newProvider(t).url
	weighed := newProvider(t, "weight", "5").url
	assert.Equal(t, ExportKey(one), ExportKey(weighed))
	other := one.Clone()
	other.Port = "20001"
	assert.NotEqual(t, ExportKey(one), ExportKey(other))
	version := one.Clone()
	version.SetParam(constant.VersionKey, "2")
	assert.NotEqual(t, ExportKey(one), ExportKey(version))
}

// What is told one by one is told after a list that it panicked over: in a list
// there is the same.
func TestAProviderIsToldOfListsOnly(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	x := NewExport(p.url, p, p.origin)
	x.Notify(added(rules(t, rule0+"weight=5")[0]))
	assert.Zero(t, p.exports)
}

// Greeter is served over the dubbo protocol, whose exporter has the framework
// forget it.
type Greeter struct{}

func (*Greeter) Greet(context.Context, string) (string, error) { return "", nil }

func (*Greeter) Reference() string { return "greeter" }

// forgetting exports again as the framework does a service that is in no
// configuration file.
type forgetting struct{ *provider }

func (f forgetting) Notify(e *registry.ServiceEvent) {
	require.NoError(f.t, common.ServiceMap.UnRegister(f.url.Service(), constant.DefaultProtocol, f.url.ServiceKey()))
	f.provider.Notify(e)
}

func TestWhoeverServesIsKnownWhenItIsExportedAgain(t *testing.T) {
	p := newProvider(t)
	greeter := &Greeter{}
	_, err := common.ServiceMap.Register(p.url.Service(), constant.DefaultProtocol, "g", "1", greeter)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = common.ServiceMap.UnRegister(p.url.Service(), constant.DefaultProtocol, p.url.ServiceKey())
	})
	var events []*registry.ServiceEvent
	for _, u := range rules(t, "override://0.0.0.0/"+urltest.Greeter+"?category=configurators&group=g&version=1&timeout=2500") {
		events = append(events, added(u))
	}
	NewExport(p.url, forgetting{p}, p.origin).NotifyAll(events, func() {})
	require.Equal(t, 1, p.exports)
	served := common.ServiceMap.GetServiceByServiceKey(constant.DefaultProtocol, p.url.ServiceKey())
	require.NotNil(t, served)
	assert.Same(t, greeter, served.Service().Interface())
}

// A config center has the framework export again without a word to the registry but
// that it registers.
func TestWhoeverServesIsKnownUntilItIsNotExportedAnyMore(t *testing.T) {
	p := newProvider(t)
	greeter := &Greeter{}
	_, err := common.ServiceMap.Register(p.url.Service(), constant.DefaultProtocol, "g", "1", greeter)
	require.NoError(t, err)
	forget := func() {
		_ = common.ServiceMap.UnRegister(p.url.Service(), constant.DefaultProtocol, p.url.ServiceKey())
	}
	known := func() bool {
		return common.ServiceMap.GetServiceByServiceKey(constant.DefaultProtocol, p.url.ServiceKey()) != nil
	}
	t.Cleanup(forget)
	e := NewExport(p.url, p, p.origin)
	forget()
	p.origin.ServeAgain()
	require.True(t, known(), "registered")
	forget()
	e.NotifyAll(nil, func() {})
	require.True(t, known(), "told of overrides")
	forget()
	p.origin.End()
	p.origin.ServeAgain()
	e.NotifyAll(nil, func() {})
	require.False(t, known(), "ended")
}
