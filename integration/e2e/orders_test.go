// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// inBothOrders runs a check with a consumer that starts before its providers,
// and with one that starts after them.
func inBothOrders(t *testing.T, consuming func(*testing.T, *etcdtest.Server) spec, providing func(*testing.T, *etcdtest.Server) []spec, check func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process)) {
	for name, first := range map[string]bool{"ConsumerFirst": true, "ConsumerLast": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			calling := consuming(t, etcd)
			var c *process
			if first {
				c = start(t, calling)
				awaitReady(t, c)
			}
			var ps []*process
			for _, s := range providing(t, etcd) {
				ps = append(ps, start(t, s))
			}
			for _, p := range ps {
				awaitInstance(t, etcd, p)
			}
			if !first {
				c = start(t, calling)
			}
			check(t, etcd, c, ps)
		})
	}
}

// applications are providers of greet, each of an application of its own.
func applications(names ...string) func(*testing.T, *etcdtest.Server) []spec {
	return func(t *testing.T, etcd *etcdtest.Server) []spec {
		var all []spec
		for _, name := range names {
			all = append(all, application(provider(t, etcd, name, long)))
		}
		return all
	}
}
