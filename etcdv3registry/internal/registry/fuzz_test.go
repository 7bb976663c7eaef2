// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// FuzzEntry reads a URL in a key as each kind of subscription does, and from the cache
// file what was saved of it.
func FuzzEntry(f *testing.F) {
	for _, raw := range []string{
		urltest.Provider().String(), "tri://10.0.0.1:20000/org.example.Greeter?interface=org.example.Greeter&timestamp=1&weight=-1&group=*",
		"tri://u:pw@[fe80::1%25x]:1/org.example.Greeter?x=a b&y=%zz", "override://0.0.0.0/org.example.Greeter?weight=1&category=providers&~a=b&loadbalance=evil",
		"consumer://10.0.0.2/org.example.Greeter?category=consumers&protocol=tri", "route://0.0.0.0/org.example.Greeter?rule=a", "tri://10.0.0.1:1/org.example.Greeter?category=",
		"evil://a", "://", "tri://10.0.0.1:1/org.example.Greeter?enabled=x&classifier=\n2026-01-01 FORGED", "tri://10.0.0.1:1/a?interface=org.example.Greeter&category=x&category=y",
	} {
		for i := range layout.Categories {
			f.Add(uint8(i), layout.Encode(raw))
		}
	}
	f.Add(uint8(0), "not%zzan%url")
	f.Add(uint8(1), strings.Repeat("a", sane.MaxURL+1))
	const root = "/dubbo"
	all := urltest.URL("admin", "10.0.0.9", "", constant.AnyValue, constant.InterfaceKey, constant.AnyValue, constant.CategoryKey, constant.AnyValue,
		constant.GroupKey, constant.AnyValue, constant.VersionKey, constant.AnyValue, constant.EnabledKey, constant.AnyValue)
	one := urltest.Consumer(constant.CategoryKey, strings.Join(layout.Categories, ","), constant.GroupKey, constant.AnyValue, constant.VersionKey, constant.AnyValue)
	f.Fuzz(func(t *testing.T, which uint8, encoded string) {
		category := layout.Categories[int(which)%len(layout.Categories)]
		key := layout.ServicePrefix(root, urltest.Greeter) + category + "/" + encoded
		require.True(t, sane.IsPlain(layout.Show(key)) && len(layout.Show(key)) < 1000, "%q", layout.Show(key))
		for _, u := range []*common.URL{all, one} {
			view := newQuery(u).view(root)
			got, err := view.Read(key)
			if err != nil {
				require.True(t, sane.IsPlain(err.Error()) || got == nil, "%q", err)
			}
			if got == nil {
				continue
			}
			id := view.ID(key, got)
			require.NotEmpty(t, id)
			again, _ := view.Read(key)
			require.Equal(t, id, view.ID(key, again), "it is the same whenever it is read")
			if u == all {
				continue
			}
			switch category {
			case layout.Providers:
				require.NoError(t, sane.Provider(got))
				require.NoError(t, sane.Parameters(got))
			case layout.Configurators:
				require.NoError(t, sane.Overrides(got))
			}
		}

		saved := cachedURL(root, key)
		if strings.Contains(encoded, "/") {
			return // no key of ours, and not read
		}
		segment := cachedSegment(saved)
		savedCategory, savedEncoded, ok := layout.Split(root, layout.ServicePrefix(root, urltest.Greeter)+segment)
		if !ok {
			return
		}
		want, err := layout.Parse(category, encoded)
		if err != nil {
			return
		}
		require.False(t, strings.ContainsAny(saved, space), "%q", saved)
		if raw, err := url.QueryUnescape(encoded); err != nil || layout.Encode(raw) != encoded {
			return // who encodes does not write that: it may be lost
		}
		if want.GetParam(constant.CategoryKey, layout.Providers) != category {
			return // it says to be of another category than its key: nobody is told of it
		}
		require.Equal(t, category, savedCategory)
		got, err := layout.Parse(savedCategory, savedEncoded)
		require.NoError(t, err, "%q was saved as %q", encoded, saved)
		require.Equal(t, []string{want.Protocol, want.Ip, want.Port, want.Path}, []string{got.Protocol, got.Ip, got.Port, got.Path})
	})
}
