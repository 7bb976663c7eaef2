// SPDX-License-Identifier: Apache-2.0

package sane

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"dubbo.apache.org/dubbo-go/v3/cluster/cluster"
	"dubbo.apache.org/dubbo-go/v3/cluster/loadbalance"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/filter"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the process of these tests has.
func init() {
	extension.SetProtocol("tri", func() base.Protocol { return nil })
	extension.SetLoadbalance("random", func() loadbalance.LoadBalance { return nil })
	extension.SetCluster("failover", func() cluster.Cluster { return nil })
	extension.SetTpsLimiter("default", func() filter.TpsLimiter { return nil })
	for _, name := range []string{"echo", "tps"} {
		extension.SetFilter(name, func() filter.Filter { return nil })
	}
}

func TestOnlyWhatCanBeCalledIsAProvider(t *testing.T) {
	for _, c := range []struct {
		protocol, host, port, path string
		want                       string
	}{
		{"tri", "10.0.0.1", "20000", "/org.a.Greeter", ""},
		{"tri", "shop-1.shop.svc.cluster.local", "1", "/org.a.Outer$Greeter", ""},
		{"tri", "fe80::1%eth0", "65535", "/group/org.a.Greeter", ""},
		{"tri", "my_host", "1", "/a", ""},
		{"evil", "10.0.0.1", "20000", "/org.a.Greeter", `no protocol "evil"`},
		{"empty", "10.0.0.1", "20000", "/org.a.Greeter", `no protocol "empty"`},
		{"tri", "10.0.0.1", "0", "/org.a.Greeter", "is no port"},
		{"tri", "10.0.0.1", "", "/org.a.Greeter", "is no port"},
		{"tri", "10.0.0.1", "99999999", "/org.a.Greeter", "is no port"},
		{"tri", "10.0.0.1", "-1", "/org.a.Greeter", "is no port"},
		{"tri", "", "20000", "/org.a.Greeter", "is no host"},
		{"tri", "0.0.0.0", "20000", "/org.a.Greeter", "is no host"},
		{"tri", "::", "20000", "/org.a.Greeter", "is no host"},
		{"tri", "224.0.0.1", "20000", "/org.a.Greeter", "is no host"},
		{"tri", "fe80::1%x\n2026-11-27 FORGED", "20000", "/org.a.Greeter", "is no host"},
		{"tri", "a b", "20000", "/org.a.Greeter", "is no host"},
		{"tri", strings.Repeat("a", 1000), "20000", "/org.a.Greeter", "(1000 bytes) is no host"},
		{"tri", "10.0.0.1", "20000", "", "is no path"},
		{"tri", "10.0.0.1", "20000", "/", "is no path"},
		{"tri", "10.0.0.1", "20000", "/../../org.a.Greeter", "is no path"},
		{"tri", "10.0.0.1", "20000", "/a\nFORGED", "is no path"},
		{"tri", "10.0.0.1", "20000", "/" + strings.Repeat("a", 1000), "is no path"},
	} {
		u := common.NewURLWithOptions(common.WithProtocol(c.protocol), common.WithIp(c.host), common.WithPort(c.port), common.WithPath(c.path))
		err := Provider(u)
		if c.want == "" {
			assert.NoError(t, err, "%v", c)
			continue
		}
		if assert.ErrorContains(t, err, c.want, "%v", c) {
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 400)
		}
	}
}

func TestAProcessWithoutProtocolsSeesAll(t *testing.T) {
	extension.UnregisterProtocol("tri")
	defer extension.SetProtocol("tri", func() base.Protocol { return nil })
	extension.SetProtocol("registry", func() base.Protocol { return nil })
	for protocol, sees := range map[string]bool{"tri": true, "evil": true, "empty": false} {
		u := common.NewURLWithOptions(common.WithProtocol(protocol), common.WithIp("10.0.0.1"), common.WithPort("1"), common.WithPath("/a"))
		assert.Equal(t, sees, Provider(u) == nil, protocol)
	}
}

func TestParametersThatTheFrameworkCannotBeGivenAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		name, value        string
		provider, override bool
	}{
		{"timeout", "1000", true, true},
		{"loadbalance", "random", true, true},
		{"loadbalance", "evil", false, false},
		{"Greet.loadbalance", "evil", false, false},
		{"default.loadbalance", "evil", false, false},
		{"loadbalance", "", true, true},
		{"cluster", "failover", true, true},
		{"cluster", "evil", false, false},
		{"reference.filter", "echo", true, true},
		{"reference.filter", "echo, evil", false, false},
		{"filter", "evil", false, false},
		{"service.filter", "of the provider's own", true, false},
		{"service.filter", "echo,tps", true, true},
		{"serialization", "hessian2", true, true},
		{"serialization", "evil", false, false},
		{"tps.limiter", "default", true, true},
		{"tps.limiter", "evil", false, false},
		{"tps.limit.strategy", "evil", false, false},
		{"tps.limit.rejected.handler", "evil", false, false},
		{"execute.limit.rejected.handler", "evil", false, false},
		{"hash.nodes", "160", true, true},
		{"hash.nodes", "0", false, false},
		{"Greet.hash.nodes", "1000000000", false, false},
		{"hash.arguments", "0,1", true, true},
		{"hash.arguments", "x", false, false},
		{"weight", "100", true, true},
		{"weight", "-1", false, false},
		{"weight", "9223372036854775807", false, false},
		{"accesslog", "/x", true, false},
		{"Greet.accesslog", "/x", true, false},
		{"accesslog", "true", true, true},
		{"name", "a\nFORGED", false, false},
		{"a\nFORGED", "x", false, false},
		{"name", "\xff", false, false},
		{"name", "é世界😀", true, true},
	} {
		assert.Equal(t, c.provider, ProviderParameter(c.name, c.value), "provider: %v", c)
		assert.Equal(t, c.override, Override(c.name, c.value), "override: %v", c)
	}
	u := common.NewURLWithOptions(common.WithParamsValue("loadbalance", "evil"), common.WithParamsValue("cluster", "evil"), common.WithParamsValue("timeout", "7"))
	var left ParametersError
	require.ErrorAs(t, Parameters(u), &left)
	assert.Equal(t, "parameter(s) cluster,loadbalance", left.Part())
	assert.Contains(t, left.Error(), "extension")
	assert.Equal(t, "", u.GetParam("loadbalance", ""))
	assert.Equal(t, "7", u.GetParam("timeout", ""))
	assert.NoError(t, Parameters(u))
}

func TestNamesOfApplicationsAreBounded(t *testing.T) {
	names, err := Names([]string{"shop", " inn ", "shop", "", "my shop", "a/b", "a\nFORGED", strings.Repeat("a", 300)})
	assert.Equal(t, []string{"shop", "inn", "my shop"}, names)
	assert.ErrorContains(t, err, "3 of its names")
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	names, err = Names(many)
	assert.Len(t, names, MaxNames)
	assert.Equal(t, "0", names[0], "those that were there first stay")
	assert.Equal(t, "9999", names[MaxNames-1], "and who has come last")
	assert.ErrorContains(t, err, "9800 of its names")
	names, err = Names(nil)
	assert.Empty(t, names)
	assert.NoError(t, err)
}

func TestConditionsOfARuleAreNoOverrides(t *testing.T) {
	u := common.NewURLWithOptions(common.WithParamsValue("~loadbalance", "evil"), common.WithParamsValue("cluster", "evil"), common.WithParamsValue("timeout", "7"))
	assert.Error(t, Overrides(u))
	assert.Equal(t, "evil", u.GetParam("~loadbalance", ""))
	assert.Equal(t, "", u.GetParam("cluster", ""))
	assert.NoError(t, Overrides(u))
}

func FuzzShow(f *testing.F) {
	for _, s := range []string{"", "plain", "a\nb", "\x00\xff", strings.Repeat("世", 300), "\u2028", "\u202e", strings.Repeat("\x80", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, shown := range []string{Show(s), Quote(s), ShowAll([]string{s, s})} {
			if !utf8.ValidString(shown) || !IsPlain(shown) {
				t.Fatalf("%q is shown as %q", s, shown)
			}
			if len(shown) > 2*(4*200+40) {
				t.Fatalf("%d bytes are shown as %d", len(s), len(shown))
			}
		}
		if IsPlain(s) && len(s) <= 200 && Show(s) != s {
			t.Fatalf("%q is shown as %q", s, Show(s))
		}
	})
}

func TestMoreThanALineHoldsIsCounted(t *testing.T) {
	assert.Equal(t, "a and 3 more", strings.Replace(ShowAll(strings.Split("a,a,a,a,a,a,a,a,a,a,a,a,a", ",")), "a,a,a,a,a,a,a,a,a,a", "a", 1))
	assert.Equal(t, strings.Repeat("a", 200)+"... (300 bytes)", Show(strings.Repeat("a", 300)))
	assert.Equal(t, `"a\nb"`, Show("a\nb"))
	assert.Equal(t, `"a"`, Quote("a"))
}
