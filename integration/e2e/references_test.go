// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// metadataTypes are the metadata-types, of all of a test's applications.
var metadataTypes = map[string]bool{"LocalMetadata": false, "RemoteMetadata": true}

// withBothMetadataTypes runs a test with each metadata-type.
func withBothMetadataTypes(t *testing.T, test func(t *testing.T, with func(spec) spec)) {
	for name, remote := range metadataTypes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(s spec) spec {
				s.RemoteMetadata = remote
				return s
			})
		})
	}
}

func TestTwoReferencesOfAConsumerThatStartedBeforeTheirProviderAreBothAnswered(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		etcd := etcdtest.Start(t)
		services := numbered(2)
		c := start(t, with(application(consumer(etcd, long, services...))))
		awaitReady(t, c)
		a := start(t, with(application(provider(t, etcd, "a", long, services...))))
		awaitView(t, c, of(services, a))
		requireView(t, c, of(services, a))

		c.reset()
		b := start(t, with(serving(instance(t, etcd, "b", "a", long), services...)))
		awaitView(t, c, of(services, a, b))
		requireNoFailure(t, c)
	})
}

func TestTenReferencesToTwoApplicationsThatComeLaterAreAllAnswered(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		etcd := etcdtest.Start(t)
		services := numbered(10)
		calling := with(application(consumer(etcd, long, services...)))
		calling.Pause = 4 * defaultPause
		c := start(t, calling)
		awaitReady(t, c)
		a := start(t, with(application(provider(t, etcd, "a", long, services[:5]...))))
		b := start(t, with(application(provider(t, etcd, "b", long, services[5:]...))))
		all := of(services[:5], a).and(of(services[5:], b))
		awaitView(t, c, all)
		requireView(t, c, all)
	})
}

// Each reference is to an application of its own, and all of them come at once.
func TestReferencesToAsManyApplicationsThatComeLaterAreAllAnswered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(4)
	c := start(t, application(consumer(etcd, long, services...)))
	awaitReady(t, c)
	all := view{}
	for _, s := range services {
		all[s] = []*process{start(t, application(provider(t, etcd, "serves"+s.Interface, long, s)))}
	}
	awaitView(t, c, all)
	requireView(t, c, all)
}

// Half of the references find their provider, the others wait for theirs.
func TestReferencesOfWhichSomeFindTheirProviderAreAllAnswered(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	services := numbered(6)
	a := start(t, application(provider(t, etcd, "a", long, services[:3]...)))
	awaitInstances(t, etcd, "a", 1)
	c := start(t, application(consumer(etcd, long, services...)))
	awaitReady(t, c)
	awaitView(t, c, of(services[:3], a))
	b := start(t, application(provider(t, etcd, "b", long, services[3:]...)))
	all := of(services[:3], a).and(of(services[3:], b))
	awaitView(t, c, all)
	c.reset()
	requireView(t, c, all)
	d := start(t, serving(instance(t, etcd, "d", "a", long), services[:3]...))
	awaitView(t, c, of(services[:3], a, d).and(of(services[3:], b)))
	requireNoFailure(t, c)
}
