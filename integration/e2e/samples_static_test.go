// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/global"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// staticCondition is a rule in the program, that has all calls go to the port of
// an address.
func staticCondition(address string) dubbo.InstanceOption {
	return dubbo.WithRouter(
		router.WithScope("service"), router.WithKey(greet.Interface), router.WithPriority(100), router.WithForce(true),
		router.WithConditions([]string{fmt.Sprintf("method = Greet => port = %d", portOf(address))}),
	)
}

// staticTag gives the tag to an address of the application tags.
func staticTag(address string) dubbo.InstanceOption {
	return dubbo.WithRouter(
		router.WithScope("application"), router.WithKey("tags"), router.WithPriority(100), router.WithForce(false),
		router.WithTags([]global.Tag{{Name: gray, Addresses: []string{address}}}),
	)
}

// The samples of router/static_config have the addresses of both providers, too;
// here they are found.
func TestStaticRouterSamples(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(t *testing.T, etcd *etcdtest.Server) spec {
		s := sampleConsumer(etcd, staticTagConsumer, ratherGray, untagged)
		s.Address = hostAddress(t)
		return s
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{
			sampleProvider(t, etcd, plainProvider, "a", "tags", greet),
			sampleProvider(t, etcd, plainProvider, "b", "tags", greet),
		}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		a, b := ps[0], ps[1]
		conditional := sampleConsumer(etcd, staticConditionConsumer, greet)
		conditional.Address = a.Address
		d := start(t, conditional)
		awaitView(t, d, of(d.References, a))
		requireNoFailure(t, d)
		awaitSample(t, c, of(c.References, a, b)) // nobody has the tag

		named := sampleProvider(t, etcd, plainProvider, "named", "tags", greet)
		named.Address = c.Address
		e := start(t, named)
		awaitView(t, c, of([]service{ratherGray}, e).and(of([]service{untagged}, a, b)))
		requireView(t, d, of(d.References, a))
		e = replace(t, etcd, e)
		awaitView(t, c, of([]service{ratherGray}, e).and(of([]service{untagged}, a, b)))
		e.terminate()
		e.awaitEnd()
		awaitView(t, c, of(c.References, a, b))
		requireNoFailure(t, c)
		requireNoFailure(t, d)
	})
}
