// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// A router applies what it has read whenever its goroutine gets to that.
func TestARouterThatAppliesAnOlderRuleLateIsToldTheNewerOneAgain(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		e.Put(rules, on)
		l := &heard{}
		c.AddListener("shop.condition-router", l, group("dubbo"))
		read, err := c.GetRule("shop.condition-router", group("dubbo"))
		require.NoError(t, err)
		require.Equal(t, on, read)
		e.Put(rules, off)
		time.Sleep(500 * time.Millisecond)
		told := remoting.EventType(remoting.EventTypeAdd).String() + " shop.condition-router " + off
		require.Equal(t, []string{told}, l.take())
		// Here it applies what it has read.

		again := remoting.EventType(remoting.EventTypeUpdate).String() + " shop.condition-router " + off
		assert.Equal(t, []string{again}, l.since())
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{again}, l.since())
		time.Sleep(time.Minute)
		assert.Empty(t, l.since())
		assert.Empty(t, c.settling)
	})
}

func TestAListenerIsToldOnceWhatWasRead(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		e.Put(rules, on)
		l, other := &heard{}, &heard{}
		c.AddListener("shop.condition-router", l, group("dubbo"))
		_, err := c.GetRule("shop.condition-router", group("dubbo"))
		require.NoError(t, err)
		c.AddListener("shop.yaml", other, group("dubbo")) // a configuration is no rule
		_, err = c.GetRule("shop.yaml", group("dubbo"))
		require.NoError(t, err)
		e.Put("/dubbo/config/dubbo/shop.yaml", "a: 1")
		time.Sleep(time.Minute)
		assert.Len(t, l.take(), 1)
		assert.Len(t, other.take(), 1)
		c.RemoveListener("shop.condition-router", l, group("dubbo"))
		c.AddListener("shop.condition-router", l, group("dubbo"))
		require.NoError(t, c.Close())
		time.Sleep(time.Minute)
	})
}
