// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	_ "dubbo.apache.org/dubbo-go/v3/config_center/configurator"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// configuring is a listener that does what the framework does with rules: those that
// it is told of are written over a URL.
type configuring struct{ url *common.URL }

func (c *configuring) Notify(e *registry.ServiceEvent) {
	if IsConfigurator(e.Service) && e.Service.Protocol != constant.EmptyProtocol {
		extension.GetDefaultConfigurator(e.Service).Configure(c.url)
	}
}

func (c *configuring) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	for _, e := range events {
		c.Notify(e)
	}
}

// FuzzOverride reads two overrides as they stand in keys, and has the framework write
// them over what a provider exports and over what a consumer calls.
func FuzzOverride(f *testing.F) {
	const all = "override://0.0.0.0/org.example.Greeter?"
	for _, raw := range []string{
		all + "timeout=10&mock=yes&dynamic=false&enabled=true&priority=1", all + "timeout=9223372036854775807&Greet.timeout=x",
		all + "x=1&application=shop&side=provider&~zone=east&group=g&version=1&interface=*", all + "disabled=true&providerAddresses=10.0.0.1:20000",
		"override://10.0.0.1:20000/org.example.Greeter?weight=200&configVersion=v3.0", "override://shop@10.0.0.1/a?x=1", "absent://0.0.0.0/a?x=1&side=consumer",
		"empty://0.0.0.0/a", "override:///a?x=1", "override://0.0.0.0", "override://[::1]:1/a?a%00=%0a", all + "category=providers&x=1", all + "enabled=false&x=1", all + "priority=x&=y&~=z&x",
	} {
		f.Add(raw, all+"timeout=20", "zone", "east")
		f.Add(all+"x=2", raw, "x", "")
	}
	f.Fuzz(func(t *testing.T, first, second, name, value string) {
		var events []*registry.ServiceEvent
		var urls []*common.URL
		for _, raw := range []string{first, second} {
			u, err := layout.Parse(layout.Configurators, layout.Encode(raw))
			if err != nil {
				continue
			}
			_ = sane.Overrides(u)
			urls = append(urls, u)
			events = append(events, added(u))
		}
		exported := urltest.URL(constant.ProviderProtocol, "10.0.0.1", "20000", urltest.Greeter, constant.InterfaceKey, urltest.Greeter,
			constant.ApplicationKey, "shop", constant.SideKey, constant.ProviderProtocol, "timeout", "3000")
		if sane.Override(name, value) {
			exported.SetParam(name, value)
		}
		origin := &Origin{}
		provider := &configuring{exported}
		NewExport(exported, provider, origin).NotifyAll(events, func() {}) // which exports again, and subscribes as that
		NewExport(provider.url, provider, origin)
		require.Empty(t, origin.changes(provider.url, rulesOf(urls)), "told the same again, a provider exports again, for ever")
		require.NoError(t, sane.Overrides(provider.url.Clone()), "what a provider exports")

		called := &configuring{urltest.Provider("timeout", "3000")}
		reference, _ := NewReference(urltest.Consumer(constant.ApplicationKey, "shop"), called, false)
		reference.NotifyAll(append(events, added(urltest.Provider())), func() {})
		reference.Notify(added(urltest.Provider("disabled", "true")))
		require.NoError(t, sane.Overrides(called.url.Clone()), "what a consumer calls")
	})
}
