// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// needEtcd waits for the end of a fault of etcd.
func (c *appChaos) needEtcd() {
	for c.away {
		c.turn()
	}
}

func (c *appChaos) etcdRestarts() bool {
	d := c.randomly(1500*time.Millisecond, 3*chaosSession)
	c.needEtcd()
	c.fault("etcd is killed and started", "after %v", d)
	c.away = true
	c.etcd.Kill()
	c.after(d, "etcd starts", func() { c.etcd.Start(); c.back() })
	return true
}

func (c *appChaos) etcdPauses() bool {
	d := c.randomly(1500*time.Millisecond, 3*chaosSession)
	c.needEtcd()
	c.fault("etcd is paused", "for %v", d)
	c.away = true
	c.etcd.Pause()
	c.after(d, "etcd goes on", func() { c.etcd.Resume(); c.back() })
	return true
}

func (c *appChaos) back() {
	c.away = false
	c.Add("etcd is back")
}

// etcdIsWiped empties etcd; sometimes others are there first, and bring the
// revision to about where it was before anybody of the fleet sees it.
func (c *appChaos) etcdIsWiped() bool {
	others, more := c.random.IntN(2) == 0, int64(c.random.IntN(40)-10)
	c.needEtcd()
	c.fault("etcd is emptied", "others are there first: %v", others)
	old := testkit.Revision(c.t, c.client)
	if !others {
		c.etcd.Wipe()
		return true
	}
	for _, m := range c.members {
		m.proxy.Cut()
	}
	c.etcd.Wipe()
	for testkit.Revision(c.t, c.client) < min(old+more, 3000) {
		testkit.Put(c.t, c.client, "/other/key", "")
	}
	for _, m := range c.members {
		m.proxy.Restore()
	}
	return true
}

// networkBreaks breaks the way of one process to etcd, or of all.
func (c *appChaos) networkBreaks() bool {
	one := c.members[c.random.IntN(len(c.members))]
	proxies, who := []*etcdtest.Proxy{one.proxy}, one.app.name
	if c.random.IntN(4) == 0 {
		who = "all"
		for _, m := range c.members {
			proxies = append(proxies, m.proxy)
		}
	}
	each := func(f func(*etcdtest.Proxy)) func() {
		return func() {
			for _, p := range proxies {
				f(p)
			}
		}
	}
	cut, restore := each((*etcdtest.Proxy).Cut), each((*etcdtest.Proxy).Restore)
	freeze, thaw := each((*etcdtest.Proxy).Freeze), each((*etcdtest.Proxy).Thaw)
	d := c.randomly(3*time.Second, 3*chaosSession)
	switch c.random.IntN(4) {
	case 0, 1:
		c.fault("a connection to etcd is cut", "of %s for %v", who, d)
		cut()
		c.after(d, "it is restored", restore)
	case 2:
		times := 2 + c.random.IntN(8)
		c.fault("a connection to etcd is reset again and again", "of %s, %d times", who, times)
		for i := range times {
			c.after(time.Duration(i)*c.upTo(300*time.Millisecond), "it is reset", func() { cut(); restore() })
		}
	case 3:
		c.fault("a connection to etcd is frozen", "of %s for %v", who, d)
		freeze()
		c.after(d, "it goes on", thaw)
	}
	return true
}

// ofApplications picks what only the application level has.
func (c *appChaos) ofApplications(fits func(*member) bool) *member {
	if c.level == byInterface {
		return nil
	}
	return c.pick(fits)
}

// valueChanges has somebody change what an instance says of itself, under its
// lease; a tool may do so all the time.
func (c *appChaos) valueChanges() bool {
	m := c.ofApplications(provides)
	if m == nil {
		return false
	}
	times, interval := 1, c.upTo(500*time.Millisecond)
	if c.random.IntN(2) == 0 {
		times = 2 + c.random.IntN(10)
	}
	key := m.key()
	c.fault("the value of an instance is changed", "%s, %d time(s)", key, times)
	for i := range times {
		c.afterWithEtcd(time.Duration(i)*interval, func() { c.changeValue(key, i) })
	}
	return true
}

func (c *appChaos) changeValue(key string, to int) {
	for _, kv := range testkit.Get(c.t, c.client, key).Kvs {
		var value map[string]any
		require.NoError(c.t, json.Unmarshal(kv.Value, &value), "%s", kv.Value)
		metadata, _ := value["metadata"].(map[string]any)
		if metadata == nil {
			c.t.Fatalf("%s has no metadata: %s", key, kv.Value)
		}
		metadata["chaos"] = fmt.Sprint(c.faults, " ", to)
		changed, err := json.Marshal(value)
		require.NoError(c.t, err)
		testkit.Do(c.t, func(ctx context.Context) error {
			_, err := c.client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)).
				Then(clientv3.OpPut(key, string(changed), clientv3.WithIgnoreLease())).Commit()
			return err
		})
	}
}

// afterWithEtcd does something later that needs etcd.
func (c *appChaos) afterWithEtcd(d time.Duration, do func()) {
	at := time.Now().Add(d)
	c.when(func() bool { return !c.away && time.Now().After(at) }, "etcd is back", do)
}

func (c *appChaos) keyIsDeleted() bool {
	m := c.pick(provides)
	if m == nil {
		return false
	}
	key := m.key()
	if c.level == byInterface {
		key = providersOf(m.run.offers[0])
	}
	c.fault("an instance is deleted in etcd", "%s", key)
	c.afterWithEtcd(0, func() { testkit.DeleteAll(c.t, c.client, key) })
	return true
}

func (c *appChaos) leaseIsRevoked() bool {
	m := c.ofApplications(provides)
	if m == nil {
		return false
	}
	key := m.key()
	c.fault("a lease is revoked", "that of %s", key)
	c.afterWithEtcd(0, func() {
		for _, kv := range testkit.Get(c.t, c.client, key).Kvs {
			testkit.Do(c.t, func(ctx context.Context) error {
				_, err := c.client.Revoke(ctx, clientv3.LeaseID(kv.Lease))
				if err != nil && err.Error() == "etcdserver: requested lease not found" {
					return nil // it expired meanwhile
				}
				return err
			})
		}
	})
	return true
}

func (c *appChaos) mappingIsDeleted() bool {
	m := c.ofApplications(provides)
	if m == nil {
		return false
	}
	key := mappingKey(m.run.offers[c.random.IntN(len(m.run.offers))])
	c.fault("a mapping is deleted", "%s", key)
	c.afterWithEtcd(0, func() { testkit.Delete(c.t, c.client, key) })
	return true
}

// mappingGrows adds an application that has no instance to a mapping.
func (c *appChaos) mappingGrows() bool {
	m := c.ofApplications(provides)
	if m == nil {
		return false
	}
	key := mappingKey(m.run.offers[c.random.IntN(len(m.run.offers))])
	nobody := fmt.Sprintf("nobody%d", c.random.IntN(3))
	c.fault("a mapping gets an application that is not there", "%s: %s", key, nobody)
	c.afterWithEtcd(0, func() {
		for _, kv := range testkit.Get(c.t, c.client, key).Kvs {
			testkit.Put(c.t, c.client, key, string(kv.Value)+","+nobody)
		}
	})
	return true
}

func (c *appChaos) metadataIsDeleted() bool {
	m := c.ofApplications(func(m *member) bool { return provides(m) && m.remote })
	if m == nil {
		return false
	}
	c.fault("metadata is deleted", "that of %v", m.run)
	c.afterWithEtcd(0, func() {
		if !provides(m) {
			return
		}
		if key := c.metadataKey(m); key != "" {
			testkit.Delete(c.t, c.client, key)
		}
	})
	return true
}
