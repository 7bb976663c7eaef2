// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnInstanceThatReturnsIsAnotherToTheFrameworkAndOtherwiseTheSame(t *testing.T) {
	plain := &registry.DefaultServiceInstance{ServiceName: "greeter", Host: "10.0.0.1", Port: 20000, Tag: "gray", Weight: 7,
		Metadata: map[string]string{"dubbo.endpoints": `[{"port":20001,"protocol":"tri"}]`}}
	service := info.NewServiceInfo("org.a.Greeter", "g", "1.0.0", "tri", "org.a.Greeter", map[string]string{"methods": "Greet,Part", "timeout": "3s"})
	want := plain.ToURLs(service)
	first, second, unknown := incarnationOf(plain, 5), incarnationOf(plain, 9), incarnationOf(plain, 0)
	keys := map[string]bool{}
	for _, i := range []*incarnation{first, second, unknown} {
		got := i.ToURLs(service)
		require.Len(t, got, 1)
		assert.Equal(t, want[0].String(), got[0].String())
		assert.Equal(t, want[0].GetParams(), got[0].GetParams())
		assert.Equal(t, want[0].Methods, got[0].Methods)
		assert.Equal(t, want[0].Location, got[0].Location)
		assert.Equal(t, want[0].Service(), got[0].Service())
		keys[got[0].GetCacheInvokerMapKey()] = true
		assert.Equal(t, got[0].GetCacheInvokerMapKey(), i.ToURLs(service)[0].GetCacheInvokerMapKey(), "and stays the same")
	}
	assert.Len(t, keys, 3)
	assert.True(t, keys[want[0].GetCacheInvokerMapKey()])
}
