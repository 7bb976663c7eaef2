// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// awaitVain waits until a consumer has asked in vain for the metadata of a revision.
func awaitVain(t *testing.T, c *process) {
	t.Helper()
	awaitLog(t, c, "says what its revision")
}

// stillness notes what is under /services/, while nothing is to happen there, and
// returns what checks that. The providers, which are registered, are waited for: one
// that is stopped before it has heard of that registers again.
func stillness(t *testing.T, etcd *etcdtest.Server, providers ...*process) func() {
	t.Helper()
	for _, p := range providers {
		eventually(t, func() string { return p.Name + " does not hear that it is registered" }, func() bool {
			for stack := range p.stacks() {
				if strings.Contains(stack, "desired.(*Registrations).Register") {
					return false
				}
			}
			return true
		})
	}
	changed := func() map[string]int64 {
		t.Helper()
		response := testkit.List(t, etcd.Client(), "/services/")
		revisions := map[string]int64{}
		for _, kv := range response.Kvs {
			revisions[string(kv.Key)] = kv.ModRevision
		}
		return revisions
	}
	before := changed()
	return func() {
		t.Helper()
		assert.Equal(t, before, changed(), "nothing changes in etcd")
	}
}

func TestProviderThatStandsStillWhileItsConsumerStartsIsCalledWhenItGoesOn(t *testing.T) {
	t.Parallel()
	for name, services := range map[string][]service{"OneReference": numbered(1), "FourReferences": numbered(4)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			a := start(t, application(provider(t, etcd, "a", long, services...)))
			awaitInstances(t, etcd, "a", 1)
			nothingHappens := stillness(t, etcd, a)
			a.freeze()
			c := start(t, application(consumer(etcd, long, services...)))
			awaitVain(t, c)
			a.thaw()
			awaitView(t, c, of(services, a))
			requireView(t, c, of(services, a))
			nothingHappens()
		})
	}
}

// The one that stands still is of another application, or of another revision
// of the same one.
func TestProviderThatStandsStillIsNoHarmToTheOthers(t *testing.T) {
	t.Parallel()
	for name, still := range map[string]func(*testing.T, *etcdtest.Server) spec{
		"OfAnotherApplication": func(t *testing.T, etcd *etcdtest.Server) spec {
			return application(provider(t, etcd, "still", long))
		},
		"OfAnotherRevision": func(t *testing.T, etcd *etcdtest.Server) spec {
			return serving(instance(t, etcd, "still", "a", long), greet, other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			a := start(t, application(provider(t, etcd, "a", long)))
			b := start(t, still(t, etcd))
			eventually(t, func() string { return "they are not registered" }, func() bool {
				return len(instances(t, etcd, "a"))+len(instances(t, etcd, "still")) == 2
			})
			nothingHappens := stillness(t, etcd, a, b)
			b.freeze()
			c := start(t, application(consumer(etcd, long)))
			awaitView(t, c, of([]service{greet}, a))
			c.reset()
			awaitMore(t, c, greet, enough)
			requireNoFailure(t, c)
			b.thaw()
			awaitView(t, c, of([]service{greet}, a, b))
			requireNoFailure(t, c)
			nothingHappens()
		})
	}
}

// The consumer is stopped, too, while the new revision comes: so the provider of
// it stands still before the consumer can ask it.
func TestProviderOfANewRevisionThatStandsStillIsCalledWhenItGoesOn(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, application(provider(t, etcd, "a", long)))
	awaitInstances(t, etcd, "a", 1)
	c := start(t, application(consumer(etcd, long)))
	awaitView(t, c, of([]service{greet}, a))
	c.reset()

	c.freeze()
	newer := start(t, serving(instance(t, etcd, "newer", "a", long), greet, other))
	awaitInstances(t, etcd, "a", 2)
	nothingHappens := stillness(t, etcd, a, newer)
	newer.freeze()
	c.thaw()
	awaitVain(t, c)
	requireView(t, c, of([]service{greet}, a))
	newer.thaw()
	awaitView(t, c, of([]service{greet}, a, newer))
	requireNoFailure(t, c)
	nothingHappens()
}

// What stands still leaves meanwhile: nobody asks for what is not there any
// more, and what comes afterwards is called.
func TestProviderThatStandsStillAndIsKilledIsForgotten(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a := start(t, application(provider(t, etcd, "a", short)))
	awaitInstances(t, etcd, "a", 1)
	a.freeze()
	c := start(t, application(consumer(etcd, long)))
	awaitInstances(t, etcd, "a", 0) // its session is over
	a.kill()
	b := start(t, serving(instance(t, etcd, "b", "a", long), greet, other))
	awaitView(t, c, of([]service{greet}, b))
	requireView(t, c, of([]service{greet}, b))
}

// Whoever writes the instance writes its metadata later: as it is with a slow
// transaction, or a restore of one prefix.
func TestRemoteMetadataThatIsPutLateIsUsed(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"WhileTheConsumerStarts": false, "WhileTheConsumerRuns": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			late, parts := elsewhere(t, etcd, "late", func(s spec) spec {
				s.RemoteMetadata = true
				return s
			})
			early := application(provider(t, etcd, "early", long))
			early.RemoteMetadata = true
			b := start(t, early)
			awaitInstances(t, etcd, "early", 1)
			calling := application(consumer(etcd, long))
			calling.RemoteMetadata = true

			if !running {
				parts.put(t, mappingOf, instanceOf)
			}
			c := start(t, calling)
			awaitView(t, c, of([]service{greet}, b))
			c.reset()
			if running {
				parts.put(t, mappingOf, instanceOf)
			}
			awaitVain(t, c)
			requireView(t, c, of([]service{greet}, b))
			parts.put(t, metadataOf)
			awaitView(t, c, of([]service{greet}, b, late))
			requireNoFailure(t, c)
		})
	}
}

func TestRemoteMetadataOfTheOnlyProviderThatIsPutLateIsUsed(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	late, parts := elsewhere(t, etcd, "late", func(s spec) spec {
		s.RemoteMetadata = true
		return s
	})
	calling := application(consumer(etcd, long))
	calling.RemoteMetadata = true
	parts.put(t, mappingOf, instanceOf)
	c := start(t, calling)
	awaitReady(t, c)
	awaitVain(t, c)
	parts.put(t, metadataOf)
	awaitView(t, c, of([]service{greet}, late))
	requireView(t, c, of([]service{greet}, late))
}
