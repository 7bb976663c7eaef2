// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var usual = Layout{Root: "/dubbo", Services: "/services", Config: "/dubbo/config"}

func TestKeysAreToldApart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Key{
		"/dubbo/a.B":                            {Kind: Interface, Of: "a.B"},
		"/dubbo/a.B/providers/x":                {Kind: Provider, Of: "a.B", Part: "x"},
		"/dubbo/a.B/consumers/x/y":              {Kind: Consumer, Of: "a.B", Part: "x/y"},
		"/dubbo/a.B/configurators/x":            {Kind: Configurator, Of: "a.B", Part: "x"},
		"/dubbo/a.B/routers/x":                  {Kind: Router, Of: "a.B", Part: "x"},
		"/dubbo/mapping/a.B":                    {Kind: Mapping, Of: "a.B"},
		"/dubbo/shop/abc":                       {Kind: Metadata, Of: "shop", Part: "abc"},
		"/dubbo/config/dubbo/shop.tag-router":   {Kind: Config, Of: "dubbo", Part: "shop.tag-router"},
		"/services/shop/10.0.0.1:20000":         {Kind: Instance, Of: "shop", Part: "10.0.0.1:20000"},
		"/services/shop/10.0.0.1":               {Kind: Other},
		"/services/shop/10.0.0.1:20000/x":       {Kind: Other},
		"/dubbo/a.B/providers":                  {Kind: Other}, // no revision, though it is as deep as one
		"/dubbo/a.B/other/x":                    {Kind: Other},
		"/dubbo/metadata/a.B/1.0/provider/shop": {Kind: Other}, // Java's metadata center
		"/dubbo/config/dubbo":                   {Kind: Other},
		"/dubbo/":                               {Kind: Other},
		"/else/where":                           {Kind: Other},
	} {
		got := usual.Split(name)
		require.Equal(t, want.Kind, got.Kind, name)
		if want.Kind != Other {
			require.Equal(t, [2]string{want.Of, want.Part}, [2]string{got.Of, got.Part}, name)
		}
	}
	require.Equal(t, []string{"/dubbo/", "/services/"}, usual.Prefixes())
	require.Equal(t, []string{"/t/g/", "/t/services/", "/t/config/"}, Layout{"/t/g", "/t/services", "/t/config"}.Prefixes())
}

func TestURLsOfTheInterfaceLevelAreRead(t *testing.T) {
	t.Parallel()
	read := func(category, raw string) Key {
		return usual.Read("/dubbo/a.B/"+category+"/"+url.QueryEscape(raw), nil)
	}
	k := read("providers", "dubbo://alice:pw@10.0.0.1:20880/a.B?group=eu&version=1.0&x=a=b&flag")
	require.NoError(t, k.Err)
	require.Equal(t, &URL{Protocol: "dubbo", Host: "10.0.0.1", Port: "20880", Path: "a.B", Params: map[string]string{"group": "eu", "version": "1.0", "x": "a=b"}}, k.URL)
	require.Equal(t, "2001:db8::1:20880", read("providers", "dubbo://[2001:db8::1]:20880/a.B").URL.Address())
	require.Equal(t, "10.0.0.2", read("consumers", "consumer://10.0.0.2/a.B?side=consumer").URL.Address())

	for raw, want := range map[string]string{"10.0.0.1:20880": "no protocol://", "://10.0.0.1": "protocol in it is empty", "dubbo:///a.B": "no address"} {
		require.ErrorContains(t, read("providers", raw).Err, want)
	}
	require.ErrorContains(t, usual.Read("/dubbo/a.B/providers/tri://h:1/a.B", nil).Err, "not percent-encoded")
	require.Error(t, usual.Read("/dubbo/a.B/providers/%zz", nil).Err)
}

func TestValuesOfTheApplicationLevelAreRead(t *testing.T) {
	t.Parallel()
	k := usual.Read("/services/shop/10.0.0.1:20000", []byte(`{"ServiceName":"shop","Host":"10.0.0.1","port":20000,"enable":false,"metadata":{
		"dubbo.metadata.revision":"r1","dubbo.metadata.storage-type":"remote","dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]"}}`))
	require.NoError(t, k.Err)
	require.Equal(t, "r1", k.Instance.Revision())
	require.True(t, k.Instance.Remote())
	require.True(t, k.Instance.Disabled())
	require.Equal(t, []Endpoint{{20000, "tri"}}, k.Instance.Endpoints())

	k = usual.Read("/services/shop/10.0.0.1:20000", []byte(`{"serviceName":"shop","host":"10.0.0.1","port":20000,"metadata":{"dubbo.metadata.revision":"0"}}`))
	require.Empty(t, k.Instance.Revision(), "it serves nothing")
	require.False(t, k.Instance.Disabled())
	for value, want := range map[string]string{
		"": "no instance as JSON", `{"host":"10.0.0.2","port":20000}`: `that of "10.0.0.2:20000"`, `{"serviceName":"other","host":"10.0.0.1","port":20000}`: `an instance of "other"`,
	} {
		require.ErrorContains(t, usual.Read("/services/shop/10.0.0.1:20000", []byte(value)).Err, want)
	}

	require.Equal(t, []string{"a", "b"}, usual.Read("/dubbo/mapping/a.B", []byte("a, b,,")).Applications)
	require.ErrorContains(t, usual.Read("/dubbo/mapping/a.B", []byte(" ,")).Err, "names no application")

	k = usual.Read("/dubbo/shop/r1", []byte(`{"app":"shop","revision":"r1","services":{"a.B:tri":{"name":"a.B","protocol":"tri","port":20000}}}`))
	require.NoError(t, k.Err)
	require.Equal(t, "tri", k.Metadata.Services["a.B:tri"].Protocol)
	require.ErrorContains(t, usual.Read("/dubbo/shop/r1", []byte(`{"app":"other"}`)).Err, `that of "other"`)
	require.ErrorContains(t, usual.Read("/dubbo/shop/r1", []byte("x")).Err, "no metadata as JSON")
}

// Whatever a key and its value are, reading them does not panic.
func FuzzKey(f *testing.F) {
	for _, name := range []string{"/dubbo/a.B/providers/" + url.QueryEscape("tri://[::1]:1/a?b=c"), "/services/a/h:1", "/dubbo/mapping/a", "/dubbo/a/b", "/dubbo/config/a/b"} {
		f.Add(name, []byte(`{"host":"h","port":1,"metadata":{"dubbo.endpoints":"[{}]"}}`))
	}
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		k := usual.Read(name, value)
		if k.Name != name {
			t.Errorf("%q became %q", name, k.Name)
		}
		if k.Instance != nil {
			_, _, _ = k.Instance.Revision(), k.Instance.Endpoints(), k.Instance.Disabled()
		}
		if k.URL != nil && k.Kind == Provider && k.URL.Host == "" {
			t.Errorf("%q is a provider without an address", name)
		}
		if k.Kind != Other && !strings.HasPrefix(name, "/dubbo/") && !strings.HasPrefix(name, "/services/") {
			t.Errorf("%q is a %s", name, k.Kind)
		}
	})
}
