// SPDX-License-Identifier: Apache-2.0

package zookeepertest

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dubbogo/go-zookeeper/zk"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// atOnce is how many keys are put in one transaction.
const atOnce = 500

// client is the benchmark's own.
type client struct {
	conn *zk.Conn
	done chan struct{}
	own  map[string]bool // keys that the benchmark has put, which are of no session
}

// session is that of the benchmark's own client, which is heard of seldom.
const session = time.Minute

func (c *client) connect(t testing.TB, addr string) {
	t.Helper()
	conn, events, err := zk.Connect([]string{addr}, session)
	if err != nil {
		t.Fatalf("connect to ZooKeeper: %v", err)
	}
	conn.SetLogger(silent{})
	c.conn, c.done = conn, make(chan struct{})
	go func() {
		defer close(c.done)
		for range events { // until it is closed
		}
	}()
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		<-c.done
		c.conn = nil
	}
}

var everybody = zk.WorldACL(zk.PermAll)

// do tries until the server is there.
func do(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	if _, ok := testkit.Within(testkit.LongPatience, func() bool {
		err = f()
		return !errors.Is(err, zk.ErrNoServer) && !errors.Is(err, zk.ErrConnectionClosed)
	}); !ok || err != nil {
		t.Fatalf("%s in ZooKeeper: %v", what, err)
	}
}

// parents makes what a key is below.
func (c *client) parents(t testing.TB, key string) {
	t.Helper()
	parent := ""
	for name := range strings.SplitSeq(strings.Trim(path.Dir(key), "/"), "/") {
		parent += "/" + name
		do(t, "create "+parent, func() error {
			if _, err := c.conn.Create(parent, nil, 0, everybody); !errors.Is(err, zk.ErrNodeExists) {
				return err
			}
			return nil
		})
	}
}

func (c *client) Fill(t testing.TB, keys []string) {
	t.Helper()
	made := map[string]bool{}
	for some := range slices.Chunk(keys, atOnce) {
		puts := make([]any, len(some))
		for i, key := range some {
			if parent := path.Dir(key); !made[parent] {
				made[parent] = true
				c.parents(t, key)
			}
			c.own[key] = true
			puts[i] = &zk.CreateRequest{Path: key, Acl: everybody}
		}
		do(t, "create many keys", func() error { _, err := c.conn.Multi(puts...); return err })
	}
}

func (c *client) Put(t testing.TB, key string) {
	t.Helper()
	c.own[key] = true
	do(t, "create a key", func() error {
		_, err := c.conn.Create(key, nil, 0, everybody)
		if errors.Is(err, zk.ErrNodeExists) {
			return nil
		}
		return err
	})
}

func (c *client) Delete(t testing.TB, key string) {
	t.Helper()
	do(t, "delete a key", func() error {
		err := c.conn.Delete(key, -1)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		return err
	})
}

// Keys returns those that the benchmark has not put.
func (c *client) Keys(t testing.TB, parent string) (keys []string) {
	t.Helper()
	parent = strings.TrimSuffix(parent, "/")
	var names []string
	do(t, "list keys", func() (err error) {
		names, _, err = c.conn.Children(parent)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		return err
	})
	for _, name := range names {
		if key := parent + "/" + name; !c.own[key] {
			keys = append(keys, key)
		}
	}
	return keys
}
