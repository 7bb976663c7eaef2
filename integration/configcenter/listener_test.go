// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestListenerIsToldOfEveryChange(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	l, twice := &listener{}, &listener{}
	c.AddListener(rule, l)
	c.AddListener(rule, twice)
	c.AddListener(rule, twice, config_center.WithGroup("dubbo")) // is the same
	require.NoError(t, c.PublishConfig(rule, "", "1"))
	l.RequireLast(t, add("1"))
	require.NoError(t, c.PublishConfig(rule+"s", "", "another key"))
	require.NoError(t, c.PublishConfig(rule, "dubbo", "2"))
	l.RequireLast(t, update("2"))
	require.NoError(t, c.PublishConfig(rule, "other", "another group"))
	require.NoError(t, c.PublishConfig(rule, "", "2")) // is no change
	require.NoError(t, c.RemoveConfig(rule, ""))
	l.RequireLast(t, deletion)
	require.NoError(t, c.PublishConfig(rule, "", "3"))
	l.RequireLast(t, add("3"))
	require.NoError(t, c.PublishConfig(rule, "", " \n")) // an empty rule is none
	l.RequireLast(t, deletion)
	requireRule(t, c, "")
	want := []string{add("1"), update("2"), deletion, add("3"), deletion}
	assert.Equal(t, want, l.All())
	twice.RequireLast(t, deletion)
	assert.Equal(t, want, twice.All())
}

// Some routers of the framework do not read the rule after AddListener.
func TestListenerIsToldWhatIsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "1")
	c := newCenter(t, etcd.Endpoint())
	l := &listener{}
	c.AddListener(rule, l)
	l.RequireLast(t, add("1"))
}

// What the framework has started with must not be applied a second time, to
// what is being started.
func TestListenerIsNotToldWhatGetPropertiesReturned(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	inShop := config_center.WithGroup("shop")
	require.NoError(t, c.PublishConfig("a.yaml", "shop", "1"))
	require.NoError(t, c.PublishConfig("b.yaml", "shop", "1"))
	for _, key := range []string{"a.yaml", "b.yaml"} {
		value, err := c.GetProperties(key, inShop)
		require.NoError(t, err)
		require.Equal(t, "1", value)
	}
	require.NoError(t, c.PublishConfig("b.yaml", "shop", "2")) // before anybody listens
	a, b, other := &listener{}, &listener{}, &listener{}
	c.AddListener("a.yaml", a, inShop)
	c.AddListener("b.yaml", b, inShop)
	b.RequireLast(t, told(remoting.EventTypeUpdate, "b.yaml", "2"))
	require.NoError(t, c.PublishConfig("a.yaml", "shop", "3"))
	a.RequireLast(t, told(remoting.EventTypeUpdate, "a.yaml", "3"))
	assert.Len(t, a.All(), 1)
	assert.Len(t, b.All(), 1)
	c.AddListener("a.yaml", other, inShop)
	other.RequireLast(t, told(remoting.EventTypeAdd, "a.yaml", "3"))
}

// As routers do: AddListener, GetRule, and apply what that returns, while the
// rule is being changed. The newest must be what is applied last.
func TestTheNewestRuleIsAppliedLast(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	for i := range 30 {
		key := fmt.Sprintf("org.e2e.Greeter%d::.condition-router", i)
		var running sync.WaitGroup
		running.Go(func() {
			for n := range 5 {
				assert.NoError(t, c.PublishConfig(key, "", fmt.Sprint(n)))
			}
		})
		var mu sync.Mutex
		applied := ""
		r := router(func(value string) {
			mu.Lock()
			defer mu.Unlock()
			applied = value
		})
		c.AddListener(key, &r)
		value, err := c.GetRule(key)
		require.NoError(t, err)
		if i%2 == 0 {
			time.Sleep(5 * time.Millisecond) // the other goroutine is quicker
		}
		r.apply(value)
		running.Wait()
		ok := testkit.Eventually(func() bool {
			mu.Lock()
			defer mu.Unlock()
			return applied == "4"
		})
		mu.Lock()
		require.True(t, ok, "applied: %s", applied)
		mu.Unlock()
	}
}

type router func(value string)

func (r router) apply(value string) { r(value) }

func (r *router) Process(e *config_center.ConfigChangeEvent) { (*r)(e.Value.(string)) }

func TestASlowListenerDelaysNoOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	block := make(chan struct{})
	slow, quick := &listener{testkit.Told{During: func() { <-block }}}, &listener{}
	c.AddListener(rule, slow)
	c.AddListener(rule, quick)
	for i := range 5 {
		require.NoError(t, c.PublishConfig(rule, "", fmt.Sprint(i)))
		quick.RequireLast(t, strings.Replace(update(fmt.Sprint(i)), update("0"), add("0"), 1))
	}
	assert.Len(t, slow.All(), 1)
	close(block)
	slow.RequireLast(t, update("4"))
	assert.Equal(t, []string{add("0"), update("4")}, slow.All())
}

func TestARemovedListenerIsNotTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	removed, inside, stays := &listener{}, &listener{}, &listener{}
	inside.During = func() { c.RemoveListener(rule, inside) }
	for _, l := range []*listener{removed, inside, stays} {
		c.AddListener(rule, l)
	}
	c.AddListener(rule, removed, config_center.WithGroup("shop"))
	c.RemoveListener(rule, removed)
	c.RemoveListener(rule, removed)
	require.NoError(t, c.PublishConfig(rule, "", "1"))
	inside.RequireLast(t, add("1"))
	require.NoError(t, c.PublishConfig(rule, "shop", "2"))
	removed.RequireLast(t, add("2")) // of the other group it is told still
	require.NoError(t, c.PublishConfig(rule, "", "3"))
	stays.RequireLast(t, update("3"))
	assert.Len(t, removed.All(), 1)
	assert.Len(t, inside.All(), 1)
}

func TestNothingIsToldWhenRemoveHasReturned(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	for i := range 20 {
		key := fmt.Sprintf("app%d.tag-router", i)
		l := &listener{testkit.Told{During: func() { time.Sleep(time.Millisecond) }}}
		c.AddListener(key, l)
		require.NoError(t, c.PublishConfig(key, "", "1"))
		time.Sleep(time.Duration(40+i) * time.Millisecond)
		c.RemoveListener(key, l)
		l.Close()
		time.Sleep(3 * time.Millisecond)
		l.RequireNoFaults(t)
	}
}

func TestAListenerThatPanicsIsToldTheNextChange(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	l := &listener{testkit.Told{During: func() { panic("expected") }}}
	c.AddListener(rule, l)
	require.NoError(t, c.PublishConfig(rule, "", "1"))
	l.RequireLast(t, add("1"))
	require.NoError(t, c.RemoveConfig(rule, ""))
	l.RequireLast(t, deletion)
}

type byValue struct{ names []string }

func (byValue) Process(*config_center.ConfigChangeEvent) {}

func TestAListenerThatCannotBeComparedIsNotAdded(t *testing.T) {
	t.Parallel()
	c := newCenter(t, "127.0.0.1:1")
	c.AddListener(rule, byValue{[]string{"x"}})
	c.RemoveListener(rule, byValue{})
	c.AddListener(rule, nil)
	c.RemoveListener(rule, nil)
}
