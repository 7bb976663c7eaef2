// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

func TestKeysAreSplitIntoCategoryAndURL(t *testing.T) {
	t.Parallel()
	for key, want := range map[string][2]string{
		"/dubbo/a.B/providers/x":      {"providers", "x"},
		"/dubbo/a.B/consumers/x":      {"consumers", "x"},
		"/dubbo/a.B/routers/x":        {"routers", "x"},
		"/dubbo/a.B/configurators/x":  {"configurators", "x"},
		"/dubbo/a.B/providers/":       {"providers", ""},
		"/dubbo/a.B/providers/x/y":    {"providers", "x/y"},
		"/dubbo/a%24B/providers/x%2F": {"providers", "x%2F"},
	} {
		category, encoded, ok := Split("/dubbo", key)
		if assert.True(t, ok, key) {
			assert.Equal(t, want, [2]string{category, encoded}, key)
		}
	}
	for _, key := range []string{
		"", "/", "/dubbo", "/dubbo/", "/dubbo/a.B", "/dubbo/a.B/", "/dubbo/a.B/providers", "/dubbo/mapping/a.B",
		"/dubbo/config/group/key", "/dubbo/metadata/a.B/1.0/x", "/dubbo/a.B/Providers/x", "/dubbo/a.B//x", "/dubbos/a.B/providers/x",
		"dubbo/a.B/providers/x", "/other/a.B/providers/x", "/dubbo2/dubbo/a.B/providers/x",
	} {
		category, encoded, ok := Split("/dubbo", key)
		assert.False(t, ok, "%q was split into %q and %q", key, category, encoded)
	}
}

// readBack is what a subscriber reads of a URL that was registered.
func readBack(t testing.TB, u *common.URL) *common.URL {
	t.Helper()
	key, err := KeyOf("/dubbo", u)
	require.NoError(t, err)
	category, encoded, ok := Split("/dubbo", key.Name)
	require.True(t, ok, key.Name)
	read, err := Parse(category, encoded)
	require.NoError(t, err, key.Name)
	return read
}

func TestARegisteredProviderIsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*common.URL{
		"plain":                  urltest.Provider(),
		"with group and version": urltest.Provider("group", "blue", "version", "1.0.0"),
		"of a nested class":      urltest.URL("dubbo", "10.0.0.1", "20880", "a.B$C", "interface", "a.B$C"),
		"on IPv6":                urltest.URL("dubbo", "2001:db8::1", "20880", urltest.Greeter, "interface", urltest.Greeter),
		"with a host name":       urltest.URL("dubbo", "pod-1.svc_a", "20880", urltest.Greeter, "interface", urltest.Greeter),
		"without a port":         urltest.URL("dubbo", "10.0.0.1", "", urltest.Greeter, "interface", urltest.Greeter),
		"with a context path":    urltest.URL("rest", "10.0.0.1", "80", "a/b/"+urltest.Greeter, "interface", urltest.Greeter),
	} {
		read := readBack(t, u)
		assert.Equal(t, u.Protocol, read.Protocol, name)
		assert.Equal(t, u.Ip, read.Ip, name)
		assert.Equal(t, u.Port, read.Port, name)
		assert.Equal(t, u.Path, read.Path, name)
		assert.Equal(t, greeterOr(u), read.Service(), name)
		for param, values := range u.CopyParams() {
			assert.Equal(t, values[0], read.GetParam(param, ""), "%s: %s", name, param)
		}
	}
}

func greeterOr(u *common.URL) string { return u.GetParam(constant.InterfaceKey, urltest.Greeter) }

func TestParameterValuesSurviveTheirKey(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"100%", "%", "%%", "%zz", "%41", "%2B", "a+b", "+", "a;b", ";", "#", "a#b", "a b", " a", "?", "a?b", "a/b", "a//b", "://",
		"a=b", "=", "a,b", ",", ",,", "a,,b", "a, b", "é", "世界", "😀", "[x]", "{x}", "<x>", `"`, "'", "`", `\`, "|", "^", "~", "*", "$", "!", "(x)", "@", "a@b:c",
		"~*%2A%7E", "condition: a => b", "line\nbreak", "tab\t", "\x7f",
	} {
		read := readBack(t, urltest.Provider("x", value))
		assert.Equal(t, value, read.GetParam("x", ""), "the value of x")
		assert.Equal(t, "1700000000", read.GetParam(constant.TimestampKey, ""), "the parameter before, with x=%q", value)
		assert.Equal(t, "10.0.0.1:20000", read.Address(), "x=%q", value)

		again := readBack(t, read)
		assert.Equal(t, read.String(), again.String(), "read, registered and read again, with x=%q", value)
	}
}

// As in Java, whose URLs are written without encoding their parameters.
func TestAnAmpersandInAValueBeginsTheNextParameter(t *testing.T) {
	t.Parallel()
	read := readBack(t, urltest.Provider("x", "a&y=b"))
	assert.Equal(t, "a", read.GetParam("x", ""))
	assert.Equal(t, "b", read.GetParam("y", ""))
	read = readBack(t, urltest.Provider("x", "a&b"))
	assert.Equal(t, "a", read.GetParam("x", ""))
	assert.Equal(t, urltest.Greeter, read.Service())
}

// What has nothing in it that common.NewURL reads in another way is what it makes of
// it, in the fields that the framework has for itself as well.
func TestAURLIsWhatTheFrameworkMakesOfIt(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"tri://10.0.0.1:20000/org.example.Greeter?interface=org.example.Greeter&methods=Greet,Ask&timestamp=1700000000&weight=100",
		"dubbo://alice:pw@host.example:20880/a/b?group=g&group=h&x=&y&timestamp=2024-01-01 00:00:00",
		"dubbo://10.0.0.1:20880", "dubbo://10.0.0.1:20880/", "dubbo://10.0.0.1:20880/a?", "TRI://10.0.0.1:1/a,b?timestamp=",
	} {
		want, err := common.NewURL(Encode(raw))
		require.NoError(t, err, raw)
		got, err := Parse(Providers, Encode(raw))
		require.NoError(t, err, raw)
		assert.Equal(t, want, got, raw)
		assert.Equal(t, want.GetCacheInvokerMapKey(), got.GetCacheInvokerMapKey(), raw)
	}
}

func TestParameterNamesSurviveTheirKey(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "a%b", "a+b", "a;b", "a#b", "é", "methods.Greet.timeout", ".hidden", "a?b", "a/b"} {
		assert.Equal(t, "v", readBack(t, urltest.Provider(name, "v")).GetParam(name, ""), "%q", name)
	}
}

func TestARegisteredConsumerIsReadBackAsAConsumer(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"10.0.0.2", "host"} {
		u := urltest.Consumer("category", "consumers")
		u.Ip = ip
		read := readBack(t, u)
		assert.Equal(t, "consumer", read.Protocol)
		assert.Equal(t, ip, read.Ip)
		assert.Equal(t, "tri", read.GetParam(constant.ProtocolKey, ""))
		assert.Equal(t, "consumers", read.GetParam(constant.CategoryKey, ""))
		assert.Equal(t, "false", read.GetParam(constant.CheckKey, ""))
		assert.Equal(t, urltest.Greeter, read.Service())
	}
}

func TestAURLHasTheCategoryOfItsKeyUnlessItNamesOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ category, raw, want string }{
		{"configurators", "override://0.0.0.0/a.B?timeout=1", "configurators"},
		{"configurators", "override://0.0.0.0/a.B?category=configurators", "configurators"},
		{"configurators", "empty://0.0.0.0/a.B?category=dynamicconfigurators", "dynamicconfigurators"},
		{"routers", "condition://0.0.0.0/a.B", "routers"},
		{"consumers", "consumer://10.0.0.1/a.B", "consumers"},
		{"providers", "dubbo://10.0.0.1:1/a.B", ""},
	} {
		u, err := Parse(c.category, Encode(c.raw))
		require.NoError(t, err, c.raw)
		assert.Equal(t, c.want, u.GetParam(constant.CategoryKey, ""), c.raw)
	}
}

func TestKeysWrittenByOthersAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ encoded, address, param string }{
		"Java":                    {"dubbo%3A%2F%2F10.0.0.1%3A20880%2Forg.example.Greeter%3Fx%3Dy", "10.0.0.1:20880", "y"},
		"dubbo-go's own registry": {url.QueryEscape("tri://10.0.0.1:20880/org.example.Greeter?x=~*"), "10.0.0.1:20880", "~*"},
		"lower case":              {"dubbo%3a%2f%2f10.0.0.1%3a20880%2forg.example.Greeter%3fx%3dy", "10.0.0.1:20880", "y"},
		"%20 for a space":         {"dubbo%3A%2F%2F10.0.0.1%3A20880%2Forg.example.Greeter%3Fx%3Da%20b", "10.0.0.1:20880", "a b"},
		"+ for a space":           {"dubbo%3A%2F%2F10.0.0.1%3A20880%2Forg.example.Greeter%3Fx%3Da+b", "10.0.0.1:20880", "a b"},
		"an empty value":          {Encode("dubbo://10.0.0.1:20880/org.example.Greeter?group=&x=y&version="), "10.0.0.1:20880", "y"},
		"a name without a value":  {Encode("dubbo://10.0.0.1:20880/org.example.Greeter?deprecated&x=y&&"), "10.0.0.1:20880", "y"},
	} {
		u, err := Parse(Providers, c.encoded)
		if assert.NoError(t, err, name) {
			assert.Equal(t, c.address, u.Address(), name)
			assert.Equal(t, c.param, u.GetParam("x", ""), name)
			assert.Equal(t, urltest.Greeter, u.Service(), name)
		}
	}
}

// Java (URL.toFullString) and dubbo-go's BaseRegistry write no brackets; to
// both the port is what follows the last colon.
func TestIPv6ProvidersWrittenWithoutBracketsAreRead(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][3]string{
		"dubbo://2001:db8:0:0:0:0:0:1:20880/org.example.Greeter?x=y":       {"2001:db8:0:0:0:0:0:1", "20880", "[2001:db8:0:0:0:0:0:1]:20880"},
		"tri://2001:db8::1:20880/org.example.Greeter?x=y":                  {"2001:db8::1", "20880", "[2001:db8::1]:20880"},
		"dubbo://alice:pw@2001:db8:0:0:0:0:0:1:1/org.example.Greeter?x=y%": {"2001:db8:0:0:0:0:0:1", "1", "[2001:db8:0:0:0:0:0:1]:1"},
		"dubbo://2001:db8:0:0:0:0:0:1/org.example.Greeter?x=y":             {"2001:db8:0:0:0:0:0:1", "", "[2001:db8:0:0:0:0:0:1]"},
		"dubbo://[2001:db8::1]/org.example.Greeter?x=y":                    {"2001:db8::1", "", "[2001:db8::1]"},
		"dubbo://fe80:0:0:0:0:0:0:1%eth0:20880/org.example.Greeter?x=y":    {"fe80:0:0:0:0:0:0:1%eth0", "20880", "[fe80:0:0:0:0:0:0:1%eth0]:20880"},
		"dubbo://[fe80::1%eth0]:20880/org.example.Greeter?x=y":             {"fe80::1%eth0", "20880", "[fe80::1%eth0]:20880"},
	} {
		u, err := Parse(Providers, Encode(raw))
		if assert.NoError(t, err, raw) {
			assert.Equal(t, want, [3]string{u.Ip, u.Port, u.Location}, raw)
			assert.Equal(t, urltest.Greeter, u.Service(), raw)
			assert.Contains(t, u.GetParam("x", ""), "y", raw)
		}
	}
}

func TestARegisteredConsumerOnIPv6IsReadBack(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"2001:db8::2", "fe80::1%eth0"} {
		u := urltest.Consumer()
		u.Ip = ip
		assert.Equal(t, ip, readBack(t, u).Ip)
	}
}

func TestAURLHasNotMoreParametersThanMakeSense(t *testing.T) {
	t.Parallel()
	const raw = "dubbo://10.0.0.1:1/a?x=y"
	_, err := Parse(Providers, Encode(raw+strings.Repeat("&", maxParams-1)))
	assert.NoError(t, err)
	_, err = Parse(Providers, Encode(raw+strings.Repeat("&", maxParams)))
	assert.ErrorContains(t, err, "more than 10000 parameters")
}

func TestGarbageInAKeyIsAnError(t *testing.T) {
	t.Parallel()
	for _, encoded := range []string{
		"", "x", "%", "%zz", "%E4%B8", "dubbo%3A%2F%2F", "dubbo", "dubbo%3A", "%3A%2F%2Fa%3A1%2Fx", "a%3A1%2Fx", "dubbo://a:1/x",
		Encode("dubbo://a:b:c/x"), Encode("dubbo://a:port/x"), Encode("dubbo://[::1/x"), Encode("dubbo://::1:port/x"), Encode("dubbo://[::1]:port/x"), Encode("dubbo://[::1]x/x"), Encode("dubbo://[::1:1/x"), Encode("dubbo://[]:1/x"), Encode("dubbo:///x"), Encode("dubbo://:20880/x"), Encode("du bbo://a:1/x"),
		Encode("://"), Encode("?://a:1"), Encode("dubbo://%zz:1/x"), Encode("\x00://a:1/x"), Encode("dubbo://a:1/x\x00"), Encode("1://a:1"), "a/b",
	} {
		u, err := Parse(Providers, encoded)
		assert.Error(t, err, "%q was read as %v", encoded, u)
	}
}
