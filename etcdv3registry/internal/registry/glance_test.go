// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

func TestProvidersThatAreNotAskedForNeedNotBeParsed(t *testing.T) {
	t.Parallel()
	const provider = "tri://10.0.0.1:20000/org.example.Greeter?interface=org.example.Greeter"
	q := newQuery(urltest.Consumer("group", "blue,red", "version", "1.0", "classifier", "c"))
	for params, want := range map[string]bool{
		"&group=blue&version=1.0&classifier=c":              true,
		"&classifier=c&version=1.0&group=red":               true,
		"&group=blue&version=1.0":                           false,
		"&group=blue&version=1.0&classifier=d":              false,
		"&version=1.0&classifier=c":                         false,
		"&group=green&version=1.0&classifier=c":             false,
		"&group=blue&version=2.0&classifier=c":              false,
		"&agroup=green&group=blue&version=1.0&classifier=c": true,
		"&group=green&x=a b":                                false,
		"&gro%75p=blue&group=green":                         false,
		"&group=blue&group=green&version=1.0&classifier=c":  true,
		"&groups=blue&group=green&version=1.0&classifier=c": false,
		"&group&group=blue&version=1.0&classifier=c":        false,
	} {
		assert.Equal(t, want, q.mayMatch(decoded(t, layout.Encode(provider+params))), params)
	}
	any := newQuery(urltest.Consumer())
	assert.False(t, any.mayMatch(decoded(t, layout.Encode("dubbo://10.0.0.1:1/org.example.Greeter"))), "of another protocol")
	assert.True(t, any.mayMatch(decoded(t, layout.Encode("TRI://10.0.0.1:1/org.example.Greeter"))))
}

func decoded(t *testing.T, encoded string) layout.Text {
	t.Helper()
	text, err := layout.Decode(encoded)
	require.NoError(t, err)
	return text
}

// FuzzMayMatch looks for a provider that a subscription is about, and that is taken
// for another one before it is parsed.
func FuzzMayMatch(f *testing.F) {
	f.Add("tri://10.0.0.1:1/a?", "group=g&version=1&classifier=c", "g", "1")
	f.Add("TRI://10.0.0.1:1/a#?", "group=x&group=g&version=&classifier", "g,h", "")
	f.Add("tri://u:p@[::1]:1/a?", "gr%6fup=g;&version=1&&=&x=?group=y", "*", "*")
	f.Add("tri://10.0.0.1/a&group=x?", "group=a+b&version=%2B&%26group=g", "", "1")
	f.Add("tri://10.0.0.1:1/?", "x=tri://a?group=g&group=h#&group=i", "h", "")
	f.Fuzz(func(t *testing.T, address, params, group, version string) {
		for _, consumer := range []*common.URL{
			urltest.Consumer("group", group, "version", version), urltest.Consumer("group", group, "version", version, "classifier", "c"),
			urltest.URL("consumer", "10.0.0.2", "", urltest.Greeter, "interface", "*", "group", group, "version", version, "category", "*"),
		} {
			q := newQuery(consumer)
			for _, encoded := range []string{layout.Encode(address + params), address + params} {
				text, err := layout.Decode(encoded)
				if err != nil {
					continue
				}
				if u, err := text.URL(layout.Providers); err == nil && q.matches(u, layout.Providers) {
					require.True(t, q.mayMatch(text), "%q of %q", encoded, fmt.Sprintf("%+v", q))
				}
			}
		}
	})
}

// BenchmarkRead is of a provider that a subscription asks for, of one of another
// group, and of what the first could be made of if it were kept: a copy of the URL.
func BenchmarkRead(b *testing.B) {
	raw := "tri://10.0.0.1:20000/org.example.Greeter?anyhost=true&app.version=3.3.2&application=greeter-provider" +
		"&bean.name=GreeterProvider&environment=production&export=true&interface=org.example.Greeter&methods=Greet" +
		"&module=greeter&name=greeter-provider&organization=dubbo-go&owner=dubbo-go&pid=1&registry.role=3&release=dubbo-golang-3.3.2&retries=2" +
		"&side=provider&timestamp=1700000000&warmup=100&weight=100"
	key := layout.ServicePrefix("/dubbo", urltest.Greeter) + layout.Providers + "/" + layout.Encode(raw)
	read := func(b *testing.B, u *common.URL) {
		view := newQuery(u).view("/dubbo")
		b.ReportAllocs()
		for b.Loop() {
			_, _ = view.Read(key)
		}
	}
	b.Run("asked for", func(b *testing.B) { read(b, urltest.Consumer()) })
	b.Run("of another group", func(b *testing.B) { read(b, urltest.Consumer("group", "blue")) })
	b.Run("copy", func(b *testing.B) {
		u, err := newQuery(urltest.Consumer()).view("/dubbo").Read(key)
		require.NoError(b, err)
		require.NotNil(b, u)
		b.ReportAllocs()
		for b.Loop() {
			_ = u.Clone()
		}
	})
}
