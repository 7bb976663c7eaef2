// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// patience is how long a test waits for what should happen soon.
	patience = time.Minute
	// poll is how often it looks.
	poll = 10 * time.Millisecond
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	etcdtest.Main(m)
}

// etcdServer is an etcd in a process of its own, to be killed and started.
type etcdServer struct {
	t *testing.T
	*etcdtest.Server
}

// newEtcd finds a port for an etcd. It is not started.
func newEtcd(t *testing.T) *etcdServer {
	t.Helper()
	return &etcdServer{t: t, Server: etcdtest.Reserve(t)}
}

func (e *etcdServer) address() string { return e.Endpoint() }

func (e *etcdServer) put(key string) { e.t.Helper(); testkit.Put(e.t, e.Client(), key, "") }

func (e *etcdServer) delete(key string) { e.t.Helper(); testkit.Delete(e.t, e.Client(), key) }

func (e *etcdServer) deletePrefix(prefix string) {
	e.t.Helper()
	testkit.DeleteAll(e.t, e.Client(), prefix)
}
