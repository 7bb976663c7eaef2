// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"encoding/json"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// FuzzInstance reads what others wrote, and reads again what is made of it.
func FuzzInstance(f *testing.F) {
	f.Add("10.0.0.1:20000", `{"serviceName":"greeter","host":"10.0.0.1","port":20000,"enabled":true,"healthy":true,"metadata":{"a":"b"}}`)
	f.Add("10.0.0.1:20000", `{"ID":"x","ServiceName":"greeter","Host":"10.0.0.1","Port":20000,"Enable":false,"Metadata":null,"ServiceMetadata":{"app":"greeter"}}`)
	f.Add("::1:1", `{"host":"::1","port":1,"weight":-9223372036854775808,"tag":" é\n"}`)
	f.Add("a", `{"host":"a","port":-1}`)
	f.Add("", `null`)
	f.Fuzz(func(t *testing.T, address, encoded string) {
		key := "/services/greeter/" + address
		got := decode(key, []byte(encoded)).(*found)
		back, value, ok := fromCache(got.cached())
		require.True(t, ok)
		require.Equal(t, encoded, string(value))
		_, last := layout.SplitInstance(key)
		require.Equal(t, last, back)
		assert.NotContains(t, got.cached(), " ")
		if got.err != nil {
			require.Nil(t, got.instance)
			return
		}
		written, err := keyOf("/services", got.instance)
		if err != nil {
			return // a host or a name with a slash
		}
		again, err := parse(written.Name, []byte(written.Value))
		require.NoError(t, err)
		want := *got.instance
		if want.Metadata == nil { // which the framework makes of nil
			want.Metadata = map[string]string{}
		}
		require.Equal(t, &want, again)
		require.NotNil(t, incarnationOf(again, 1).Metadata)
	})
}

// FuzzCacheWord reads what stands in a cache file.
func FuzzCacheWord(f *testing.F) {
	for _, word := range []string{"", "=", "a=b", "10.0.0.1%3A1=%7B%7D", "%=%", "a=%zz"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		address, value, ok := fromCache(word)
		if !ok {
			return
		}
		again, same, ok := fromCache(toCache("/services/x/"+address, value))
		require.True(t, ok)
		_, last := layout.SplitInstance("/" + address)
		require.Equal(t, last, again)
		require.Equal(t, value, same)
	})
}

// FuzzService has what an instance and its metadata say be called: JSON that others
// wrote, twice.
func FuzzService(f *testing.F) {
	const services = `{"services":{"org.example.Greeter:tri":{"name":"org.example.Greeter","protocol":"tri","params":{"methods":"Greet","weight":"100"}}}}`
	for _, instance := range []string{
		`{"host":"10.0.0.1","port":20000,"weight":-9223372036854775808,"tag":"gray\n2026-01-01 FORGED"}`,
		`{"host":"10.0.0.1","port":20000,"metadata":{"dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"},{\"port\":-1,\"protocol\":\"tri\"},null]","environment":"a\nb"}}`,
		`{"host":"10.0.0.1","port":20000,"id":"a\n2026-01-01 FORGED","metadata":{"own":"two\nlines"}}`,
		`{"host":"10.0.0.1","port":20000,"metadata":{"dubbo.endpoints":"x\n2026-01-01 FORGED"}}`,
		`{"host":"10.0.0.1","port":20000,"weight":9223372036854775807,"metadata":{"dubbo.endpoints":"[{\"port\":99999999999}]"}}`,
	} {
		f.Add(instance, services)
	}
	for _, metadata := range []string{
		`{"services":{"a":null,"b":{}}}`, `{"services":{"a":{"name":"a\nb","protocol":"evil","path":"/x","params":{"loadbalance":"evil","a\nb":"c","timestamp":"x"}}}}`, `null`,
	} {
		f.Add(`{"host":"10.0.0.1","port":20000}`, metadata)
	}
	log := logtest.Record(f)
	f.Fuzz(func(t *testing.T, encoded, metadata string) {
		defer func() {
			for _, line := range log.Take() {
				require.NotContains(t, line, "\n2026-01-01 FORGED", "what the framework logs")
			}
		}()
		got := decode("/services/greeter/10.0.0.1:20000", []byte(encoded)).(*found)
		var meta info.MetadataInfo
		if got.err != nil || json.Unmarshal([]byte(metadata), &meta) != nil {
			return
		}
		services, left := servicesOf(&meta)
		if left != nil {
			require.True(t, sane.IsPlain(left.Error()), "%q", left)
		}
		require.True(t, sane.IsPlain(got.instance.GetID()), "which the framework logs")
		p := NewProvider(got.instance, 7, services)
		require.LessOrEqual(t, len(p.others()), len(encoded))
		for key, service := range services {
			urls := append(p.URLs(key, 7, func(string) bool { return false }), incarnationOf(got.instance, 7).ToURLs(service)...)
			for _, u := range urls {
				require.NoError(t, sane.Provider(u))
				require.NoError(t, sane.Parameters(u.Clone()), "%v", u)
				require.Equal(t, "10.0.0.1", u.Ip, "an instance is at its own address")
				require.NotEmpty(t, u.GetCacheInvokerMapKey())
			}
		}
	})
}
