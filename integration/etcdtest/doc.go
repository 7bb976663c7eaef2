// SPDX-License-Identifier: Apache-2.0

// Package etcdtest runs real etcd servers for tests: one process a member, on
// loopback ports of its own, with its data in the test's temporary directory.
// A test stops, kills, freezes, wipes, restores or compacts a server as it
// likes; whatever it leaves behind is killed, closed and removed at its cleanup.
//
//	etcd := etcdtest.Start(t)
//	put(t, etcd.Client(), "/dubbo/a", "1")
//	etcd.Kill()
//	…
//	etcd.Start() // the same address, the same data
//
// Network failures between a client and a server come from a [Proxy] in front
// of the server, so that one client is cut off while another still sees it.
//
// The server is built from the version that this module's go.mod requires, by
// "go tool", which keeps the binary in Go's build cache, and so are the etcdctl and the
// etcdutl of [Server.Shell]. ETCD_BIN, ETCDCTL_BIN and ETCDUTL_BIN name other binaries to
// run instead.
//
// The helpers end the test with Fatal when they fail: call them from the
// goroutine that runs it. Metrics, Endpoint and the proxy's counters may be
// called from any goroutine, so also from a polled condition.
package etcdtest
