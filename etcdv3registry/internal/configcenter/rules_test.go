// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// Each of these ends a consumer, in its next call or as it takes the rule.
func TestARoutingRuleThatTheFrameworkWouldPanicOverIsNotUsed(t *testing.T) {
	const simple = "configVersion: v3.0\nforce: true\nenabled: true\n"
	const several = "configVersion: v3.1\nforce: true\nenabled: true\n"
	for _, c := range []struct{ name, suffix, rule, want string }{
		{"AnEmptyMatchOfATag", ".tag-router", "tags: [{name: gray, match: [null]}]", "match that is empty"},
		{"AnArgument", ".condition-router", simple + `conditions: ["arguments[0]=x => host=a"]`, "panic over arguments"},
		{"AnArgumentInDisguise", ".condition-router", simple + `conditions: ["a=b & argconsumer.uments[0]=x =>"]`, "panic over arguments"},
		{"AnAttachmentOfAProvider", ".condition-router", simple + `conditions: ["=> attachments[a]=b"]`, "panic over attachments"},
		{"AnAttachmentOfADestination", ".condition-router", several + `conditions: [{to: [{match: "attachments[a]=b"}]}]`, "panic over attachments"},
		{"AnArgumentOfARequest", ".condition-router", several + `conditions: [{from: {match: "arguments[1]=a"}}]`, "panic over arguments"},
		{"WeightsWhoseSumIsNoNumber", ".condition-router", several + "conditions: [{to: [{match: a=b, weight: 9223372036854775807}]}]", "weight"},
		{"AnAffinityToAnArgument", ".affinity-router", "enabled: true\naffinityAware: {key: \"a&arguments\", ratio: 1}", "panic over arguments"},
		{"ANumberForAVersion", ".condition-router", "configVersion: 3.1", "configVersion"},
		{"AForgedLine", ".tag-router", "key: \"a\\n2026-01-01 FORGED\"", "line breaks"},
		{"TooLarge", ".tag-router", "key: " + strings.Repeat("a", maxRouting), "more than 65536 bytes"},
		{"TooManyTimesTheSame", ".tag-router", "a: &a " + strings.Repeat("a", maxRouting/3) + "\nb: [*a, *a, *a]", "more than 65536 bytes"},
		{"TooManyTags", ".tag-router", "tags: [" + strings.Repeat("{},", maxParts+1) + "]", "more than 1000 parts"},
		{"TooManyConditions", ".condition-router", simple + "conditions: [" + strings.Repeat("a,", maxParts+1) + "]", "more than 1000 parts"},
		{"TooManyDestinations", ".condition-router", several + "conditions: [{to: [" + strings.Repeat("{match: a=b},", maxParts+1) + "]}]", "more than 1000 parts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			with(t, func(t *testing.T, e *etcdfake.Etcd, center *Center) {
				log := logtest.Record(t)
				key := "shop" + c.suffix
				l := &heard{}
				center.AddListener(key, l)
				l.since()
				for range 2 {
					e.Put("/dubbo/config/dubbo/"+key, c.rule)
					assert.Empty(t, l.since())
					got, err := center.GetRule(key)
					require.NoError(t, err)
					assert.Empty(t, got)
				}
				lines := log.Lines("is not used")
				require.Len(t, lines, 1, "the log says so once")
				assert.Contains(t, lines[0], c.want)

				e.Put("/dubbo/config/dubbo/"+key, simple+"key: shop")
				assert.Len(t, l.since(), 1, "another rule is told")
				e.Put("/dubbo/config/dubbo/"+key, c.rule)
				assert.Len(t, l.since(), 1, "the end of it as well")
				e.Delete("/dubbo/config/dubbo/" + key)
				assert.Empty(t, l.since())
				e.Put("/dubbo/config/dubbo/"+key, c.rule)
				assert.Empty(t, l.since())
				assert.Len(t, log.Lines("is not used"), 2, "whoever puts it again is told again")
			})
		})
	}
}

func TestAConditionRuleThatLeavesSomethingOutIsToldAsJavaReadsIt(t *testing.T) {
	for said, want := range map[string]string{
		"":                              "enabled: true\nforce: false\n",
		"force: true\n":                 "enabled: true\nforce: true\n",
		"enabled: false\nforce: null\n": "enabled: false\nforce: false\n",
	} {
		const conditions, version = "conditions:\n    - => host = 10.0.0.1\n", "configVersion: v3.0\n"
		for _, rest := range []string{conditions, conditions + version} {
			told, err := usable("/dubbo/config/dubbo/shop.condition-router", said+rest)
			require.NoError(t, err)
			assert.Equal(t, conditions+version+want, told)
		}
	}
	const complete = "configVersion: v3.0\nforce: false\nenabled: true\nconditions: [\"=> host=a\"] # mine\n"
	told, err := usable("/dubbo/config/dubbo/shop.condition-router", complete)
	require.NoError(t, err)
	assert.Equal(t, complete, told, "what says all is told as it is")
}

func TestWhatIsNoRoutingRuleIsToldAsItIs(t *testing.T) {
	for _, path := range []string{"/dubbo/config/mine/shop.yaml", "/dubbo/config/mine/shop", "/dubbo/config/dubbo/shop.configurators"} {
		told, err := usable(path, "tags: [{match: [null]}]")
		require.NoError(t, err)
		assert.Equal(t, "tags: [{match: [null]}]", told)
	}
}

// The framework's URL of each service has the text of all services before it.
func TestOverridesOfWhichAProcessCouldNotHoldTheURLsAreAnError(t *testing.T) {
	p := checked{&parser.DefaultConfigurationParser{}}
	for _, rule := range []string{
		"scope: application\nkey: shop\nconfigs: [{services: [" + strings.Repeat("a,", maxOverrides) + "a], parameters: {a: b}}]",
		"scope: application\nkey: shop\nconfigs: [{services: [" + strings.Repeat("a,", 500) + "a], parameters: {a: " + strings.Repeat("b", 1000) + "}}]",
		"scope: service\nkey: a\nconfigs: [{addresses: [" + strings.Repeat("a,", 100) + "a], applications: [" + strings.Repeat("a,", 100) + "a], parameters: {a: b}}]",
	} {
		_, err := p.ParseToUrls(rule)
		assert.ErrorContains(t, err, "more than 1000 addresses")
	}
	urls, err := p.ParseToUrls("scope: service\nkey: a\nconfigs: [{addresses: [" + strings.Repeat("10.0.0.1,", 400) + "10.0.0.1], parameters: {a: b}}]")
	require.NoError(t, err)
	assert.Len(t, urls, 401)
}
