// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// Two applications, and in each an instance of either metadata-type, of the same
// revision and of another one.
func TestProvidersOfBothMetadataTypesAreAllCalled(t *testing.T) {
	t.Parallel()
	for name, remote := range metadataTypes {
		t.Run("ConsumerWith"+name, func(t *testing.T) {
			t.Parallel()
			services := numbered(2)
			inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
				calling := application(consumer(etcd, long, services...))
				calling.RemoteMetadata = remote
				return calling
			}, func(t *testing.T, etcd *etcdtest.Server) []spec {
				var all []spec
				for _, app := range []string{"x", "y"} {
					local := serving(instance(t, etcd, app+"-local", app, long), services...)
					far := serving(instance(t, etcd, app+"-remote", app, long), services...)
					far.RemoteMetadata = true
					all = append(all, local, far)
				}
				return all
			}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
				awaitView(t, c, of(services, ps...))
				c.reset()
				more := serving(instance(t, etcd, "more", "x", long), append(services, greet)...)
				more.RemoteMetadata = !remote
				awaitView(t, c, of(services, append(ps, start(t, more))...))
				requireNoFailure(t, c)
			})
		})
	}
}
