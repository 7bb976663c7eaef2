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

const evil = `
configVersion: v3.0
scope: application
key: shop
enabled: true
configs:
  - side: consumer
    addresses: ["0.0.0.0"]
    parameters: {loadbalance: evil, timeout: "7", accesslog: /etc/passwd}
`

func TestOverridesHaveNoParametersThatWouldPanic(t *testing.T) {
	with(t, func(t *testing.T, _ *etcdfake.Etcd, c *Center) {
		log := logtest.Record(t)
		for range 2 {
			urls, err := c.Parser().ParseToUrls(evil)
			require.NoError(t, err)
			require.NotEmpty(t, urls)
			assert.Equal(t, "7", urls[0].GetParam("timeout", ""))
			assert.Empty(t, urls[0].GetParam("loadbalance", ""))
			assert.Empty(t, urls[0].GetParam("accesslog", ""))
			c.SetParser(&parser.DefaultConfigurationParser{}) // as the framework might
		}
		assert.Contains(t, log.Take()[0], "skipping parameter(s) accesslog,loadbalance of an override")
		_, err := c.Parser().ParseToUrls(strings.Repeat("a", maxRule+1))
		assert.ErrorContains(t, err, "too large")
	})
}

// As in Java, which dubbo-admin writes for.
func TestAnOverrideNeedsNoPort(t *testing.T) {
	with(t, func(t *testing.T, _ *etcdfake.Etcd, c *Center) {
		for addresses, want := range map[string]string{
			"":                               "0.0.0.0:0",
			`addresses: ["0.0.0.0"], `:       "0.0.0.0:0",
			`addresses: ["10.0.0.7:20000"],`: "10.0.0.7:20000",
		} {
			for _, scope := range []string{"service", "application"} {
				urls, err := c.Parser().ParseToUrls("configVersion: v3.0\nscope: " + scope + "\nkey: shop\nenabled: true\nconfigs:\n- {" + addresses + "side: provider, parameters: {timeout: \"7\"}}\n")
				require.NoError(t, err)
				require.Len(t, urls, 1)
				assert.Equal(t, want, urls[0].Ip+":"+urls[0].Port, addresses)
				assert.Equal(t, want, urls[0].Location, addresses)
			}
		}
	})
}

func TestProgramsAreNotRunUnlessThatIsWanted(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
			log := logtest.Record(t)
			c.user.ScriptRules = wanted
			l := &heard{} // of both, which are told one after the other
			c.AddListener("shop.script-router", l)
			c.AddListener("inn.script-router", l)
			assert.Empty(t, l.since())
			assert.Empty(t, log.Lines("script"), "there is nothing to tell")
			e.Put("/dubbo/config/dubbo/shop.script-router", "script: while(true){}")
			e.Put("/dubbo/config/dubbo/inn.script-router", "script: while(true){}")
			told := len(l.since())
			rule, err := c.GetRule("shop.script-router")
			require.NoError(t, err)
			if wanted {
				assert.Equal(t, 2, told)
				assert.NotEmpty(t, rule)
				assert.Empty(t, log.Lines("script"))
				return
			}
			assert.Zero(t, told)
			assert.Empty(t, rule)
			lines := log.Lines("script rules are not")
			assert.Len(t, lines, 1)
		})
	}
}
