// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// breakStore does something to etcd and leaves it running.
func (c *chaos) breakStore(random *rand.Rand) {
	away := time.Duration(random.IntN(1500)) * time.Millisecond
	if random.IntN(4) == 0 {
		away += ttl
	}
	switch random.IntN(10) {
	case 0:
		c.fault("etcd is killed and started")
		c.etcd.Kill()
		time.Sleep(away)
		c.etcd.Start()
	case 1:
		c.fault("etcd is paused")
		c.etcd.Pause()
		time.Sleep(away)
		c.etcd.Resume()
	case 2:
		c.wipe(random)
	case 3:
		c.restore(random)
	case 4, 5:
		c.revoke(random)
	case 6, 7:
		c.deleteKeys(random, 1+random.IntN(3))
	case 8:
		c.fault("all keys are deleted by hand")
		testkit.DeleteAll(c.t, c.etcd.client, root)
	case 9:
		c.history.sync(c.t)
		rev := c.history.now().revision
		c.fault("the history before a revision is compacted")
		c.etcd.do(func(ctx context.Context) error {
			_, err := c.etcd.client.Compact(ctx, rev)
			if err != nil && err.Error() == "etcdserver: mvcc: required revision has been compacted" {
				return nil // nothing was written since the last time
			}
			return err
		})
	}
	c.journal.Add("etcd is whole again")
}

// wipe empties etcd; sometimes others are there first, and have brought the
// revision past what it was.
func (c *chaos) wipe(random *rand.Rand) {
	others := random.IntN(2) == 0
	if others {
		c.cutAll()
	}
	c.history.sync(c.t)
	old := c.history.now().revision
	c.fault("etcd is emptied")
	c.tainted = true
	c.history.stop()
	c.etcd.Wipe()
	c.history.resume(moment{keys: map[string]fact{}, revision: 1})
	if others {
		c.catchUp(random, old)
	}
}

// restore puts a backup back, or makes one if there is none.
func (c *chaos) restore(random *rand.Rand) {
	if c.backup == nil {
		c.fault("etcd is stopped for a backup")
		c.history.sync(c.t)
		now := c.history.now()
		c.backup = &now
		c.etcd.Backup()
		return
	}
	others := random.IntN(2) == 0
	if others {
		c.cutAll()
	}
	c.history.sync(c.t)
	old := c.history.now().revision
	c.fault("a backup of etcd is put back")
	c.tainted, c.restored = true, true
	c.history.stop()
	c.etcd.Restore()
	c.history.resume(*c.backup)
	c.backup = nil
	if others {
		c.catchUp(random, old)
	}
}

func (c *chaos) cutAll() {
	for _, p := range c.procs {
		p.proxy.Cut()
	}
}

// catchUp brings the revision to about where it was before, and lets the
// processes in.
func (c *chaos) catchUp(random *rand.Rand, old int64) {
	if missing := old - c.etcd.revision() + int64(random.IntN(40)) - 10; missing > 0 && missing < 3000 {
		c.journal.Add("others write %d times", missing)
		c.etcd.advance(missing)
	}
	for _, p := range c.procs {
		p.proxy.Restore()
	}
}

func (c *chaos) revoke(random *rand.Rand) {
	c.etcd.do(func(ctx context.Context) error {
		leases, err := c.etcd.client.Leases(ctx)
		if err != nil || len(leases.Leases) == 0 {
			return err
		}
		c.fault("a lease is revoked")
		_, err = c.etcd.client.Revoke(ctx, leases.Leases[random.IntN(len(leases.Leases))].ID)
		if err != nil && err.Error() == "etcdserver: requested lease not found" {
			return nil // it expired meanwhile
		}
		return err
	})
}

func (c *chaos) deleteKeys(random *rand.Rand, n int) {
	keys := testkit.List(c.t, c.etcd.client, root)
	for ; n > 0 && len(keys.Kvs) > 0; n-- {
		key := string(keys.Kvs[random.IntN(len(keys.Kvs))].Key)
		c.fault("a key is deleted by hand")
		if f, ok := parseKey(key, "providers"); ok {
			c.journal.Add("  %s", f.version())
		}
		testkit.Delete(c.t, c.etcd.client, key)
	}
}

// breakNetwork does something to the connections of one process, or of all, and
// undoes it; at the latest when stop is closed, but for a long freeze.
func (c *chaos) breakNetwork(random *rand.Rand, stop <-chan struct{}) {
	var proxies []*etcdtest.Proxy
	for _, p := range c.procs {
		proxies = append(proxies, p.proxy)
	}
	if random.IntN(4) > 0 {
		n := random.IntN(len(proxies))
		proxies = proxies[n : n+1]
	}
	each := func(f func(*etcdtest.Proxy)) {
		for _, p := range proxies {
			f(p)
		}
	}
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-stop:
		}
	}
	wait(time.Duration(random.IntN(500)) * time.Millisecond)
	length := time.Duration(random.IntN(3000)) * time.Millisecond
	switch random.IntN(5) {
	case 0, 1:
		c.fault("connections are cut")
		each((*etcdtest.Proxy).Cut)
		wait(length)
		each((*etcdtest.Proxy).Restore)
	case 2:
		c.fault("connections are reset again and again")
		for range 3 + random.IntN(10) {
			each((*etcdtest.Proxy).Cut)
			each((*etcdtest.Proxy).Restore)
			wait(time.Duration(random.IntN(300)) * time.Millisecond)
		}
	case 3:
		c.fault("connections are frozen")
		each((*etcdtest.Proxy).Freeze)
		wait(length)
		each((*etcdtest.Proxy).Thaw)
	case 4:
		each((*etcdtest.Proxy).Freeze)
		if random.IntN(4) == 0 {
			c.fault("connections are frozen for long")
			time.Sleep(14 * time.Second) // until the pings have found it
		} else {
			c.fault("connections are frozen, and cut")
			wait(length)
			each((*etcdtest.Proxy).Cut)
			each((*etcdtest.Proxy).Restore)
		}
		each((*etcdtest.Proxy).Thaw)
	}
	c.journal.Add("the network is whole again")
}

// removeOrphans does what an operator has to do when a backup was put back, or
// a process ended while etcd was away: persistent keys are left that belong to
// nobody.
func (c *chaos) removeOrphans() {
	wanted, left := map[string]bool{}, map[string]bool{}
	for _, p := range c.procs {
		maps.Copy(left, p.left)
		p.left = map[string]bool{}
		for _, m := range p.members {
			for _, u := range m.registered {
				wanted[factOf(u).version()] = true
			}
		}
	}
	for _, kv := range testkit.List(c.t, c.etcd.client, root).Kvs {
		f, ok := parseKey(string(kv.Key), "providers")
		if ok && f.dynamic == "false" && !wanted[f.version()] && (c.restored || left[f.version()]) {
			c.journal.Add("an operator removes %s", f.version())
			testkit.Delete(c.t, c.etcd.client, string(kv.Key))
		}
	}
}

func (c *chaos) fault(kind string) {
	c.kindsMu.Lock()
	defer c.kindsMu.Unlock()
	c.faults++
	c.kinds[kind]++
	c.journal.Add("FAULT: %s", kind)
}
