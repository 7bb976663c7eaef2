// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeysOfTheApplicationLevel(t *testing.T) {
	key, err := InstanceKey("/services", "shop", "10.0.0.1", 20000)
	require.NoError(t, err)
	assert.Equal(t, "/services/shop/10.0.0.1:20000", key)
	assert.True(t, IsInstance(key, InstancePrefix("/services", "shop")))
	application, address := SplitInstance(key)
	assert.Equal(t, []string{"shop", "10.0.0.1:20000"}, []string{application, address})
	for _, bad := range []struct {
		application, host string
		port              int
	}{{"", "h", 1}, {"a/b", "h", 1}, {"a", "", 1}, {"a", "h/h", 1}, {"a", "h", -1}, {"a", "h", 65536}} {
		_, err = InstanceKey("/services", bad.application, bad.host, bad.port)
		assert.Error(t, err, "%v", bad)
	}
	for _, other := range []string{"/services/shop/10.0.0.1", "/services/shop/a/10.0.0.1:20000", "/services/shop2/10.0.0.1:20000", ""} {
		assert.False(t, IsInstance(other, "/services/shop/"), other)
	}

	key, err = MetadataKey("/dubbo", "shop", "r1")
	require.NoError(t, err)
	assert.Equal(t, "/dubbo/shop/r1", key)
	revision, ok := RevisionOf(key, "/dubbo/shop/")
	assert.True(t, ok)
	assert.Equal(t, "r1", revision)
	for _, other := range []string{"/dubbo/shop/", "/dubbo/shop/providers/tri", "/dubbo/mapping/a"} {
		_, ok = RevisionOf(other, "/dubbo/shop/")
		assert.False(t, ok, other)
	}
	_, err = MetadataKey("/dubbo", "", "r1")
	assert.ErrorIs(t, err, ErrNoApplication)
	_, err = MetadataKey("/dubbo", "shop", "")
	assert.Error(t, err)

	key, err = MappingKey("/dubbo", "mapping", "org.a.Greeter")
	require.NoError(t, err)
	assert.Equal(t, "/dubbo/mapping/org.a.Greeter", key)
	_, err = MappingKey("/dubbo", "mapping", "")
	assert.Error(t, err)

	for group, want := range map[string]string{"": "/dubbo/config/dubbo/shop.configurators", "/mine/": "/dubbo/config/mine/shop.configurators"} {
		key, err = ConfigKey("/dubbo/config", group, "/shop.configurators")
		require.NoError(t, err)
		assert.Equal(t, want, key)
	}
	_, err = ConfigKey("/dubbo/config", "", "/")
	assert.Error(t, err)
}
