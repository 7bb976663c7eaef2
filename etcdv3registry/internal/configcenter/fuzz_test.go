// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/router/affinity"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/router/condition"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/router/tag"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	_ "dubbo.apache.org/dubbo-go/v3/config_center/configurator"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/protocol/invocation"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

var routingSuffixes = []string{constant.ConditionRouterRuleSuffix, constant.TagRouterRuleSuffix, constant.AffinityRuleSuffix}

// FuzzRoutingRule gives the framework's own routers what is let through, and has
// them route calls by it.
func FuzzRoutingRule(f *testing.F) {
	log := logtest.Record(f)
	for _, rule := range []string{
		"configVersion: v3.0\nscope: service\nforce: true\nenabled: true\nkey: org.a.Greeter\nconditions:\n  - \"method=Greet & attachments[a]=b => port=20001\"\n",
		"configVersion: v3.0\nconditions: [\"=> host = 10.0.0.1\"]", // neither force nor enabled
		"configVersion: v3.0\nforce: null\nenabled: true\nconditions: [\"a=1~ & b!=$c => \"]",
		"configVersion: v3.0\nforce: true\nenabled: true\nconditions: [\"arguments[0]=x => host=a\"]",
		"configVersion: v3.0\nforce: true\nenabled: true\nconditions: [\"argconsumer.uments[0]=x => host=a\"]",
		"configVersion: v3.0\nforce: true\nenabled: true\nconditions: [\"=> arguments[0]=x\", \"=> attachments[a]=x\"]",
		"configVersion: v3.1\nenabled: true\nforce: true\nconditions:\n  - from: {match: method=Greet}\n    to: [{match: port=20001, weight: 9223372036854775807}, {match: port=20001, weight: 9223372036854775807}]\n  - null\n",
		"configVersion: v3.1\nenabled: true\nconditions:\n  - from: {match: \"arguments[1]=a\"}\n",
		"configVersion: v3.1\nenabled: true\nconditions:\n  - to: [{match: \"attachments[a]=b\"}]\n",
		"force: false\nenabled: true\nkey: shop\ntags:\n  - name: gray\n    addresses: [\"10.0.0.1:20000\"]\n  - {name: red, match: [{key: env, value: {regex: \"a.*\"}}]}\n",
		"tags: [{name: gray, match: [null]}]",
		"configVersion: v3.1\nenabled: true\naffinityAware: {key: region, ratio: 20}",
		"enabled: true\naffinityAware: {key: \"arguments[0]\", ratio: 20}",
		"enabled: true\naffinityAware: {key: \"a & attachments\", ratio: 0}",
		"a: &a [*a]", "- : {", "null", "{}", "key: \"a\\n2026-01-01 FORGED\"\ntags: []", "a: |\n  x\n2026-01-01 FORGED: 1", "a: x\n2026-01-01 FORGED: 1", "a: &b \"x\"\nb: [*b, *b]", "configVersion: v99999999999999999999\n",
	} {
		for i := range routingSuffixes {
			f.Add(uint8(i), rule)
		}
	}
	consumer := common.NewURLWithOptions(common.WithProtocol(constant.Consumer), common.WithIp("10.0.0.9"), common.WithPath(urltest.Greeter),
		common.WithParamsValue(constant.ApplicationKey, "caller"), common.WithParamsValue("region", "east"))
	var invokers []base.Invoker
	for _, port := range []string{"20000", "20001"} {
		u := urltest.URL("tri", "10.0.0.1", port, urltest.Greeter, constant.ApplicationKey, "shop")
		u.SetParam(constant.Tagkey, "gray")
		invokers = append(invokers, base.NewBaseInvoker(u))
	}
	f.Fuzz(func(t *testing.T, which uint8, rule string) {
		defer func() {
			for _, line := range log.Take() {
				require.NotContains(t, line, "\n2026-01-01 FORGED", "what the framework logs")
			}
		}()
		key := "shop" + routingSuffixes[int(which)%len(routingSuffixes)]
		told, err := usable("/dubbo/config/dubbo/"+key, rule)
		if err != nil {
			require.Empty(t, told)
			require.True(t, sane.IsPlain(err.Error()), "%q", err)
			require.Less(t, len(err.Error()), 2000)
			return
		}
		again, err := usable("/dubbo/config/dubbo/"+key, told)
		require.NoError(t, err, "what is let through is let through")
		require.Equal(t, told, again)
		for _, factory := range extension.GetRouterFactories() {
			r, err := factory().NewPriorityRouter(consumer)
			require.NoError(t, err)
			l, ok := r.(config_center.ConfigurationListener)
			if !ok || !strings.Contains(key, kindOf(r)) {
				continue
			}
			l.Process(&config_center.ConfigChangeEvent{Key: key, Value: told, ConfigType: remoting.EventTypeAdd})
			for _, arguments := range [][]any{nil, {"x"}, {"x", 1}} {
				for _, tag := range []string{"", "gray", "red"} {
					call := invocation.NewRPCInvocationWithOptions(invocation.WithMethodName("Greet"), invocation.WithArguments(arguments),
						invocation.WithAttachments(map[string]any{constant.Tagkey: tag, "a": "b"}))
					r.Route(invokers, consumer, call)
				}
			}
		}
	})
}

// kindOf is what the keys of a router's rules have in their names.
func kindOf(r router.PriorityRouter) string {
	switch r.Priority() {
	case 0:
		return "tag"
	case 140, 145:
		return "condition"
	default:
		return "affinity"
	}
}

// FuzzOverrideRule gives the framework's configurators what its parser makes of a
// rule, as a listener to the config center does.
func FuzzOverrideRule(f *testing.F) {
	log := logtest.Record(f)
	for _, rule := range []string{
		evil,
		"configVersion: v2.7\nscope: service\nkey: g/org.a.Greeter:1\nenabled: true\nconfigs:\n  - side: consumer\n    addresses: [0.0.0.0, \"10.0.0.1:20880\"]\n    applications: [shop, \"a&b=c\"]\n    parameters: {timeout: 7, \"a b\": \"%zz\", hash.nodes: 0}\n",
		"configVersion: v3.0\nscope: application\nkey: shop\nenabled: true\nconfigs:\n  - services: [a, b, c]\n    match: {address: {cird: x}, param: [null], service: {oneof: [{regex: \"(\"}]}}\n    parameters: {weight: -1}\n",
		"scope: application\nconfigs: [{services: [" + strings.Repeat("a,", 2000) + "a], parameters: {a: b}}]",
		"configs: [{addresses: [\"[::1]:1\", \"%\", \"a b\", \"://\"], parameters: {\"\": \"\"}}]\nkey: x",
		"configs: [null]", "configs: [{parameters: {}}]", "a: &a [*a]", "", "{",
		"key: a\nconfigs: [{parameters: {\"a&accesslog\": \"/x\", \"b\": \"c&loadbalance=evil\"}}]",
	} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		defer log.Take()
		urls, err := checked{&parser.DefaultConfigurationParser{}}.ParseToUrls(rule)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(urls), maxOverrides)
		text := 0
		for _, u := range urls {
			text += len(u.PrimitiveURL)
			u.RangeParams(func(name, value string) bool {
				require.True(t, strings.HasPrefix(name, "~") || sane.Override(name, value), "%q=%q", name, value)
				return true
			})
			require.NoError(t, sane.Overrides(u), "what is let through is let through")
		}
		require.LessOrEqual(t, text, maxOverridesText)
		for _, side := range []string{constant.SideConsumer, constant.SideProvider} {
			u := urltest.URL("tri", "10.0.0.1", "20000", urltest.Greeter, constant.SideKey, side)
			for _, c := range registry.ToConfigurators(urls, extension.GetDefaultConfiguratorFunc()) {
				c.Configure(u)
			}
			require.NoError(t, sane.Overrides(u), "what it has made of a URL")
		}
		_ = namesIn(checked{&parser.DefaultConfigurationParser{}}, rule)
	})
}
