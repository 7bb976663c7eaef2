// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"slices"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"app":"shop","revision":"r1","services":{"a:tri":{"name":"a","protocol":"tri","params":{"side":"provider"}}},"lastUpdatedTime":7}`))
	f.Add([]byte(`{"services":{"a":null,"b":{}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		meta, err := metadataIn(content)
		if err != nil {
			return
		}
		instance := &registry.DefaultServiceInstance{Host: "10.0.0.1", Port: 20000, Metadata: map[string]string{}}
		for _, service := range meta.GetServices() { // as the framework does
			_ = service.GetMatchKey()
			_ = instance.ToURLs(service)
		}
	})
}

func FuzzMapping(f *testing.F) {
	for _, value := range []string{"", "shop", "shop,market,shop", ",,", "a b, c", "\x00,\xff"} {
		f.Add(value, "order")
	}
	f.Fuzz(func(t *testing.T, value, application string) {
		names, left := namesIn(value)
		require.True(t, slices.IsSorted(names))
		require.Equal(t, names, slices.Compact(slices.Clone(names)))
		if application == "" || strings.TrimSpace(application) != application || strings.Contains(application, ",") || left != nil {
			return
		}
		m := mapped{application}
		after := m.Apply(desired.Content{Value: value, Exists: true}, true)
		if after.Value == value {
			require.Contains(t, names, application)
			return
		}
		assert.Equal(t, after, m.Apply(after, false), "it is there then")
		for _, name := range append(names, application) {
			if _, err := sane.Names([]string{name}); err == nil && name == strings.TrimSpace(name) {
				now, _ := namesIn(after.Value)
				assert.Contains(t, now, name)
			}
		}
	})
}

func TestMergesWriteOnlyWhatTheyHaveTo(t *testing.T) {
	there := func(value string) desired.Content { return desired.Content{Value: value, Exists: true} }
	for _, c := range []struct {
		name  string
		merge desired.Merge
		again bool // etcd has taken it once
		now   desired.Content
		want  string
	}{
		{"MetadataThatIsNotThere", published{"mine"}, false, desired.Content{}, "put mine"},
		{"MetadataThatIsPublished", published{"mine"}, false, there("older"), "put mine"},
		{"MetadataThatWasPublishedAlready", published{"mine"}, false, there("mine"), "nothing"},
		{"MetadataThatAnotherInstanceHasRefreshed", published{"mine"}, true, there("newer"), "nothing"},
		{"MetadataThatIsLost", published{"mine"}, true, desired.Content{}, "put mine"},
		{"TheFirstApplication", mapped{"a"}, false, desired.Content{}, "put a"},
		{"AnotherApplication", mapped{"b"}, false, there("a"), "put a,b"},
		{"AnApplicationThatIsThere", mapped{"a"}, true, there("b,a"), "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			goal := c.merge.Apply(c.now, !c.again)
			got := "put " + goal.Value
			if goal == c.now {
				got = "nothing"
			} else if !goal.Exists {
				got = "delete"
			}
			assert.Equal(t, c.want, got)
		})
	}
}
