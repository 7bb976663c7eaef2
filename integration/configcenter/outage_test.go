// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestRulesArriveWhenEtcdIsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "1")
	etcd.Kill()
	c := newCenter(t, etcd.Endpoint(), "config-center.timeout", "300ms")
	l := &listener{}
	c.AddListener(rule, l)
	_, err := c.GetRule(rule)
	require.Error(t, err)
	etcd.Start()
	l.RequireLast(t, add("1"))
	requireRule(t, c, "1")
}

func TestRulesStayWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "1")
	c := newCenter(t, etcd.Endpoint(), "config-center.timeout", "300ms")
	l, none := &listener{}, &listener{}
	c.AddListener(rule, l)
	c.AddListener("none", none)
	l.RequireLast(t, add("1"))
	etcd.Kill()
	begun := time.Now()
	for range 10 {
		requireRule(t, c, "1")
		value, err := c.GetRule("none")
		require.NoError(t, err)
		assert.Empty(t, value)
	}
	assert.Less(t, time.Since(begun), 4*time.Second)
	_, err := c.GetProperties(rule)
	assert.Error(t, err, "a service must not start with what may be old")
	etcd.Start()
	testkit.Put(t, etcd.Client(), ruleInDB, "2")
	l.RequireLast(t, update("2"))
	assert.Equal(t, []string{add("1"), update("2")}, l.All())
}

func TestListenersHearWhatChangedWhileTheyWereCutOff(t *testing.T) {
	t.Parallel()
	for _, compacted := range []bool{false, true} {
		t.Run(fmt.Sprintf("compacted %v", compacted), func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			keys := []string{"changed", "gone", "new", "same"}
			// After a compaction it cannot always be told whether etcd is the store that
			// it was; what it lacks is then kept for a session.
			c := newCenter(t, proxy.Addr(), "session", "2s")
			listeners := map[string]*listener{}
			for _, key := range keys {
				if key != "new" {
					testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/"+key, "1")
				}
				listeners[key] = &listener{}
				c.AddListener(key, listeners[key])
				if key != "new" {
					listeners[key].RequireLast(t, "add "+key+"=1")
				}
			}
			proxy.Cut()
			testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/changed", "2")
			testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/changed", "3")
			testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/new", "4")
			revision := testkit.Delete(t, etcd.Client(), "/dubbo/config/dubbo/gone")
			if compacted {
				etcd.Compact(revision)
			}
			proxy.Restore()
			listeners["changed"].RequireLast(t, "update changed=3")
			listeners["gone"].RequireLast(t, "delete gone=")
			listeners["new"].RequireLast(t, "add new=4")
			assert.Len(t, listeners["same"].All(), 1)
		})
	}
}

func TestARestartedEtcdChangesNothing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "1")
	c := newCenter(t, etcd.Endpoint())
	l := &listener{}
	c.AddListener(rule, l)
	l.RequireLast(t, add("1"))
	etcd.Kill()
	etcd.Start()
	testkit.Put(t, etcd.Client(), ruleInDB, "2")
	l.RequireLast(t, update("2"))
	assert.Len(t, l.All(), 2)
}

func TestAWipeIsADeletionAfterTheSession(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "1")
	c := newCenter(t, etcd.Endpoint(), "session", "2s")
	l := &listener{}
	c.AddListener(rule, l)
	l.RequireLast(t, add("1"))
	etcd.Wipe()
	l.RequireLast(t, deletion)
	testkit.Put(t, etcd.Client(), ruleInDB, "2")
	l.RequireLast(t, add("2"))
}
