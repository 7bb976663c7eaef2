// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"slices"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		names := namesIn(value)
		require.True(t, slices.IsSorted(names))
		require.Equal(t, names, slices.Compact(slices.Clone(names)))
		if application == "" || strings.Contains(application, ",") {
			return
		}
		w := &wish{key: "k", application: application}
		op := w.change(value, true)
		if op == nil {
			require.Contains(t, names, application)
			return
		}
		after := string(op.ValueBytes())
		assert.Nil(t, w.change(after, true), "it is there then")
		for _, name := range append(names, application) {
			assert.Contains(t, namesIn(after), name)
		}
	})
}

func TestWishesWriteOnlyWhatTheyHaveTo(t *testing.T) {
	published := func() *wish { return &wish{key: "k", content: "mine", replace: true} }
	for _, c := range []struct {
		name   string
		wish   *wish
		now    string
		exists bool
		want   string
	}{
		{"metadata that is not there", published(), "", false, "put mine"},
		{"metadata that is published", published(), "older", true, "put mine"},
		{"metadata that was published already", published(), "mine", true, "nothing"},
		{"metadata that another instance has refreshed", &wish{key: "k", content: "mine"}, "newer", true, "nothing"},
		{"metadata that is to be gone", &wish{key: "k", gone: true}, "x", true, "delete"},
		{"metadata that is gone", &wish{key: "k", gone: true}, "", false, "nothing"},
		{"the first application", &wish{key: "k", application: "a"}, "", false, "put a"},
		{"another application", &wish{key: "k", application: "b"}, "a", true, "put a,b"},
		{"an application that is there", &wish{key: "k", application: "a"}, "b,a", true, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			if op := c.wish.change(c.now, c.exists); op != nil && op.IsDelete() {
				got = "delete"
			} else if op != nil {
				got = "put " + string(op.ValueBytes())
			}
			assert.Equal(t, c.want, got)
		})
	}
}
