// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// with runs a test with a center, in time that passes by itself.
func with(t *testing.T, test func(*testing.T, *etcdfake.Etcd, *Center)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := New(extension.Config{
			URL: urltest.URL("etcdv3", "etcd", "2379", ""),
			Cluster: cluster.Config{
				Endpoints: []string{t.Name()}, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t),
			},
			Root:    "/dubbo/config",
			Timeout: 2 * time.Second,
		})
		defer func() { assert.NoError(t, c.Close()) }()
		test(t, e, c)
	})
}

const (
	rules = "/dubbo/config/dubbo/shop.condition-router"
	on    = "configVersion: v3.0\nforce: false\nenabled: true"
	off   = "configVersion: v3.0\nforce: false\nenabled: false"
)

func group(name string) config_center.Option { return config_center.WithGroup(name) }

// heard is a listener, and what it was told.
type heard struct {
	mu     sync.Mutex // guards events
	events []string
}

func (l *heard) Process(e *config_center.ConfigChangeEvent) {
	value, _ := e.Value.(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e.ConfigType.String()+" "+e.Key+" "+value)
}

func (l *heard) since() []string {
	time.Sleep(time.Second) // changes are collected for a moment
	return l.take()
}

// take is since for those who have waited.
func (l *heard) take() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

func TestConfigurationsAreKeysBelowTheirGroup(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		e.Put(rules, on)
		for _, get := range []func(string, ...config_center.Option) (string, error){c.GetProperties, c.GetRule, c.GetInternalProperty} {
			value, err := get("shop.condition-router", group("dubbo"))
			require.NoError(t, err)
			assert.Equal(t, on, value)
			value, err = get("nothing", group("dubbo"))
			require.NoError(t, err)
			assert.Empty(t, value)
			_, err = get("", group("dubbo"))
			assert.ErrorContains(t, err, "is empty")
		}
		require.NoError(t, c.PublishConfig("shop.yaml", "mine", "a: 1"))
		require.NoError(t, c.PublishConfig("cart.yaml", "mine", "b: 1"))
		assert.Equal(t, "a: 1", e.Keys("/dubbo/config/mine/")["/dubbo/config/mine/shop.yaml"])
		names, err := c.GetConfigKeysByGroup("mine")
		require.NoError(t, err)
		assert.ElementsMatch(t, []any{"shop.yaml", "cart.yaml"}, names.Values())
		require.NoError(t, c.RemoveConfig("shop.yaml", "mine"))
		assert.Len(t, e.Keys("/dubbo/config/mine/"), 1)
		assert.Error(t, c.PublishConfig("", "mine", ""))
		assert.Error(t, c.RemoveConfig("", "mine"))
		assert.Equal(t, "etcdv3", c.GetURL().Protocol)
		c.SetParser(c.Parser())
	})
}

func TestListenerHearsOfItsKeyUntilItIsRemoved(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		l := &heard{}
		c.AddListener("shop.condition-router", l, group("dubbo"))
		c.AddListener("shop.condition-router", l, group("dubbo"))
		assert.Empty(t, l.since())
		e.Put(rules, on)
		assert.Equal(t, []string{remoting.EventType(remoting.EventTypeAdd).String() + " shop.condition-router " + on}, l.since())
		e.Put(rules, on)
		assert.Empty(t, l.since(), "it is what it was")
		e.Put(rules, off)
		assert.Len(t, l.since(), 1)
		e.Put(rules+"-of-another", "")
		assert.Empty(t, l.since())
		e.Delete(rules)
		assert.Len(t, l.since(), 1)
		c.RemoveListener("shop.condition-router", l, group("dubbo"))
		c.RemoveListener("shop.condition-router", l, group("dubbo"))
		e.Put(rules, on)
		assert.Empty(t, l.since())
		assert.Zero(t, e.Watches())
	})
}

func TestWhileEtcdIsAwayARuleIsWhatAListenerWasTold(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		e.Put(rules, on)
		l := &heard{}
		c.AddListener("shop.condition-router", l, group("dubbo"))
		require.Len(t, l.since(), 1)
		e.Away(true)
		value, err := c.GetRule("shop.condition-router", group("dubbo"))
		require.NoError(t, err)
		assert.Equal(t, on, value)
		_, err = c.GetRule("another", group("dubbo"))
		assert.ErrorContains(t, err, "connection refused")
		_, err = c.GetProperties("another", group("dubbo"))
		assert.Error(t, err)
		assert.Error(t, c.PublishConfig("another", "dubbo", ""))
		e.Away(false)
	})
}

func TestClosedCenterIsOfNoUse(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, c *Center) {
		l := &heard{}
		c.AddListener("shop.condition-router", l, group("dubbo"))
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		_, err := c.GetRule("shop.condition-router", group("dubbo"))
		assert.Error(t, err)
		c.AddListener("shop.condition-router", l, group("dubbo"))
		e.Put(rules, on)
		assert.Empty(t, l.since())
	})
}
