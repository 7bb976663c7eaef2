// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// override is a rule of dubbo-admin that sets a parameter.
func override(param string) string {
	return "configVersion: v2.7\nscope: application\nkey: shop\nenabled: true\nconfigs:\n- side: provider\n  addresses: [0.0.0.0]\n  parameters:\n    " + param
}

// told is what was told of overrides: what those before set.
type told struct {
	mu    sync.Mutex // guards what follows
	names [][]string
}

func (l *told) add(before []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = append(l.names, before)
}

func (l *told) take() [][]string {
	time.Sleep(time.Second)
	l.mu.Lock()
	defer l.mu.Unlock()
	names := l.names
	l.names = nil
	return names
}

// Each reference and each provider of a process listens to the same overrides.
func TestOfOverridesThatHaveChangedAllIsToldAtOnce(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		l := &told{}
		c.overrides.tell = l.add
		for range 10 {
			c.AddListener("shop.configurators", &heard{}, group("dubbo"))
			c.AddListener("inn.configurators", &heard{}, group("dubbo"))
			c.AddListener("shop.condition-router", &heard{}, group("dubbo"))
		}
		e.Put(rules, "enabled: true")
		assert.Empty(t, l.take(), "that is none")
		e.Put("/dubbo/config/dubbo/shop.configurators", override("weight: 5"))
		assert.Equal(t, [][]string{{}}, nonNil(l.take()), "nothing was set before")
		e.Put("/dubbo/config/dubbo/shop.configurators", override("timeout: 1s"))
		e.Put("/dubbo/config/dubbo/inn.configurators", override("retries: 3"))
		names := l.take()
		require.Len(t, names, 1)
		assert.Contains(t, names[0], "weight")
		assert.NotContains(t, names[0], "timeout")
		e.Delete("/dubbo/config/dubbo/shop.configurators", "/dubbo/config/dubbo/inn.configurators")
		names = l.take()
		require.Len(t, names, 1)
		assert.Subset(t, names[0], []string{"timeout", "retries"})
	})
}

func nonNil(all [][]string) [][]string {
	for i := range all {
		all[i] = append([]string{}, all[i]...)
	}
	return all
}

func TestAnOverrideThatCannotBeReadHasSetNothing(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		l := &told{}
		c.overrides.tell = l.add
		e.Put("/dubbo/config/dubbo/shop.configurators", "- : {")
		c.AddListener("shop.configurators", &heard{}, group("dubbo"))
		l.take()
		e.Put("/dubbo/config/dubbo/shop.configurators", override("weight: 5"))
		names := l.take()
		require.Len(t, names, 1)
		assert.Empty(t, names[0])
	})
}

func TestNobodyIsToldOfOverridesAfterClose(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		l := &told{}
		c.overrides.tell = l.add
		e.Put("/dubbo/config/dubbo/shop.configurators", override("weight: 5"))
		f := &heard{}
		c.AddListener("shop.configurators", f, group("dubbo"))
		time.Sleep(quiet + collect/2) // the listener is told, they are not
		require.NoError(t, c.Close())
		assert.Len(t, f.since(), 1)
		assert.Empty(t, l.take())
	})
}
