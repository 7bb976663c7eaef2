// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strconv"
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

func TestConsumerThatStartsWhileInstancesChangeCallsThemAll(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		etcd := etcdtest.Start(t)
		services := numbered(4)
		a := start(t, with(application(provider(t, etcd, "a", long, services...))))
		b := start(t, with(application(provider(t, etcd, "b", long, services[2:]...))))
		awaitInstance(t, etcd, a)
		awaitInstance(t, etcd, b)
		c := start(t, with(application(consumer(etcd, long, services...))))
		for i := 0; !c.report().Ready; i++ {
			touch(t, etcd, a, strconv.Itoa(i))
			touch(t, etcd, b, strconv.Itoa(i))
		}
		all := of(services[:2], a).and(of(services[2:], a, b))
		awaitView(t, c, all)
		requireView(t, c, all)
	})
}

// Instances of another revision come and go while the consumer makes its
// references.
func TestConsumerThatStartsWhileRevisionsRollOutCallsThoseThatStay(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(4)
	revisions := [][]service{services, append(numbered(4), greet), append(numbered(4), greet, other)}
	var stay []*process
	for i, revision := range revisions[:2] {
		p := start(t, serving(instance(t, etcd, "p"+strconv.Itoa(i), "a", long), revision...))
		awaitInstance(t, etcd, p)
		stay = append(stay, p)
	}
	c := start(t, application(consumer(etcd, long, services...)))
	newer := start(t, serving(instance(t, etcd, "newer", "a", long), revisions[2]...))
	awaitReady(t, c)
	stay[0].terminate()
	awaitInstance(t, etcd, newer)
	stay[0].awaitEnd()
	awaitView(t, c, of(services, stay[1], newer))
	requireView(t, c, of(services, stay[1], newer))
}
