// SPDX-License-Identifier: Apache-2.0

package sane

import (
	"net"
	"testing"
	"unicode/utf8"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"github.com/stretchr/testify/require"
)

// FuzzProvider looks at what would be dialled, and at what the framework makes of it.
func FuzzProvider(f *testing.F) {
	f.Add("tri", "10.0.0.1", "20000", "/org.a.Greeter")
	f.Add("tri", "fe80::1%eth0", "65535", "/group/org.a.Outer$Greeter")
	f.Add("tri", "0:0:0:0:0:0:0:0", "+1", "/a/../b")
	f.Add("tri", "::ffff:0.0.0.0", "01", "//")
	f.Add("tri", "10.0.0.1", "+1", "/a")
	f.Add("tri", "٣.1", "٣", "/a?b#c%zz")
	f.Add("registry", "a,b", "1", "/\u2028")
	f.Fuzz(func(t *testing.T, protocol, host, port, path string) {
		u := common.NewURLWithOptions(common.WithProtocol(protocol), common.WithIp(host), common.WithPort(port), common.WithPath(path))
		if err := Provider(u); err != nil {
			require.True(t, IsPlain(err.Error()), "%q", err)
			require.Less(t, len(err.Error()), 1000)
			return
		}
		extension.GetProtocol(u.Protocol) // which panics over one that there is not
		address := net.JoinHostPort(u.Ip, u.Port)
		gotHost, gotPort, err := net.SplitHostPort(address)
		require.NoError(t, err)
		require.Equal(t, []string{u.Ip, u.Port}, []string{gotHost, gotPort})
		_, err = net.LookupPort("tcp", u.Port)
		require.NoError(t, err)
		if ip := net.ParseIP(u.Ip); ip != nil {
			require.False(t, ip.IsUnspecified() || ip.IsMulticast(), "%q", host)
		}
		for _, shown := range []string{u.Key(), u.String(), u.GetCacheInvokerMapKey(), u.ServiceKey(), u.ColonSeparatedKey()} {
			require.True(t, IsPlain(shown), "%q", shown)
		}
		again, err := common.NewURL(u.String())
		if err == nil && again.Ip != "" {
			require.Equal(t, u.Port, again.Port)
		}
	})
}

// FuzzParameter has the framework use the parameters that are let through, as a call
// and an export do.
func FuzzParameter(f *testing.F) {
	for _, name := range []string{
		"loadbalance", "Greet.loadbalance", "methods.Greet.loadbalance", "default.cluster", "cluster", "reference.filter", "service.filter", "filter", "serialization",
		"tps.limiter", "tps.limit.strategy", "hash.nodes", "hash.arguments", "weight", "Greet.weight", "accesslog", ".accesslog", "~loadbalance", "timeout", "", "a.b.c",
	} {
		for _, value := range []string{"", "evil", "random", "failover", "echo,tps", "echo, tps", "-1", "+5", "160", "0,1", "/x", "TRUE", "a\n2026-01-01 FORGED", "\xff"} {
			f.Add(name, value)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		for kind, clean := range map[string]func(*common.URL) error{"a provider": Parameters, "a rule": Overrides} {
			u := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithParamsValue(name, value), common.WithParamsValue("timeout", "7"))
			if err := clean(u); err != nil {
				var left ParametersError
				require.ErrorAs(t, err, &left)
				require.True(t, IsPlain(left.Error()) && IsPlain(left.Part()), "%q", left)
				require.Less(t, len(left.Part()), 2000)
			}
			require.NoError(t, clean(u), "what is let through is let through")
			for param := range u.CopyParams() {
				require.True(t, utf8.ValidString(param) && IsPlain(u.GetParam(param, "")) || kind == "a rule" && param[0] == '~', "%q of %s", param, kind)
			}
			used(t, u, kind)
		}
	})
}

// used gets the extensions that a URL names, as the framework does; it panics over
// those that there are not.
func used(t *testing.T, u *common.URL, kind string) {
	for _, method := range []string{"Greet", "methods.Greet", "default"} {
		if v := u.GetMethodParam(method, constant.LoadbalanceKey, ""); v != "" {
			extension.GetLoadbalance(v)
		}
		weight := u.GetMethodParamInt64(method, constant.WeightKey, 100)
		require.True(t, weight >= 0 && weight <= 1_000_000_000, "a weight of %d of %s", weight, kind)
		if nodes := u.GetMethodParam(method, "hash.nodes", "160"); nodes != "" {
			require.True(t, isBetween(nodes, 4, 100_000), "%q nodes of %s", nodes, kind)
		}
	}
	if v := u.GetParam(constant.ClusterKey, ""); v != "" {
		_, err := extension.GetCluster(v)
		require.NoError(t, err)
	}
	if v := u.GetParam(constant.TPSLimiterKey, ""); v != "" {
		_, err := extension.GetTpsLimiter(v)
		require.NoError(t, err)
	}
	require.False(t, kind == "a rule" && u.GetParam(constant.AccessLogFilterKey, "") != "" && !isAccessLog(u.GetParam(constant.AccessLogFilterKey, "")))
}

// FuzzNames reads names of applications.
func FuzzNames(f *testing.F) {
	f.Add("shop", " inn ", "a/b")
	f.Add("a\nb", "\u2028", "\xff")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		names, err := Names([]string{a, b, c, a})
		require.LessOrEqual(t, len(names), 3)
		for _, name := range names {
			require.True(t, isApplication(name) && name != "", "%q", name)
		}
		again, left := Names(names)
		require.Equal(t, names, again)
		require.NoError(t, left)
		if err != nil {
			require.True(t, IsPlain(err.Error()))
		}
	})
}
