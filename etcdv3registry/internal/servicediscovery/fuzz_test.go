// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
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
