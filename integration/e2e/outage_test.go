// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// scene is two providers and a consumer that calls them.
type scene struct {
	etcd    *etcdtest.Server
	a, b, c *process
}

func newScene(t *testing.T, session time.Duration) *scene {
	etcd := etcdtest.Start(t)
	s := &scene{
		etcd: etcd,
		a:    start(t, provider(t, etcd, "a", session)),
		b:    start(t, provider(t, etcd, "b", session)),
		c:    start(t, consumer(etcd, session)),
	}
	awaitCalls(t, s.c, greet, s.a, s.b)
	awaitKeys(t, etcd, consumersOf(greet), 1)
	s.c.reset()
	return s
}

// requireAllIsWell waits until everybody is registered again, and finds who
// comes from now on; no call has failed from the beginning.
func (s *scene) requireAllIsWell(t *testing.T, also ...*process) {
	t.Helper()
	there := append([]*process{s.a, s.b}, also...)
	registered := awaitProviders(t, s.etcd, greet, there...)
	consuming := awaitKeys(t, s.etcd, consumersOf(greet), 1)
	for _, k := range append(registered, consuming...) {
		assert.NotZero(t, k.lease, k.name)
	}
	assert.NotEmpty(t, keys(t, s.etcd, "/dubbo/"+greet.Interface), "the interface's key")
	awaitCalls(t, s.c, greet, there...)

	there = append(there, start(t, provider(t, s.etcd, "late", short)))
	awaitProviders(t, s.etcd, greet, there...)
	awaitCalls(t, s.c, greet, there...)
	s.a.terminate()
	s.a.awaitEnd()
	awaitCalls(t, s.c, greet, there[1:]...)
	requireNoFailure(t, s.c)
}

func TestCallsGoOnWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	// Where the outage is the longer one, the attempts to reach etcd have become
	// rare: they must not become rarer than what the leases live on for when etcd
	// is back, a session.
	for name, outage := range map[string]time.Duration{"ForLessThanTheSession": 0, "ForLongerThanTheSession": 2 * medium} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, medium)
			s.etcd.Kill()
			meanwhile := start(t, provider(t, s.etcd, "meanwhile", short))
			time.Sleep(outage)
			awaitMore(t, s.c, greet, enough)
			requireNoFailure(t, s.c)
			s.etcd.Start()
			s.requireAllIsWell(t, meanwhile)
		})
	}
}

func TestProviderThatStoppedWhileEtcdWasAwayIsGoneWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, medium)
	s.etcd.Kill()
	s.a.terminate()
	s.a.awaitEnd()
	awaitCalls(t, s.c, greet, s.b)
	s.etcd.Start()
	awaitProviders(t, s.etcd, greet, s.b)
	awaitCalls(t, s.c, greet, s.b)
	requireNoFailure(t, s.c)
}

// A provider hears at its next keep-alive that its lease is gone, after a third
// of its session; a consumer sees the empty store at once. It must not take
// that for the providers' end.
func TestAllAreRegisteredAgainAfterEtcdIsWiped(t *testing.T) {
	t.Parallel()
	s := newScene(t, 15*time.Second)
	// A store that has seen more than it will see soon: after the wipe its
	// revision is far behind what everybody has seen.
	for range 300 {
		testkit.Put(t, s.etcd.Client(), "/noise", "")
	}
	testkit.Put(t, s.etcd.Client(), "/dubbo/"+greet.Interface+"/providers/ignored", "")
	s.etcd.Wipe()
	s.requireAllIsWell(t)
}

// What was deleted one provider at a time is served by the others meanwhile.

func TestProviderReturnsAfterItsLeaseIsRevokedByHand(t *testing.T) {
	t.Parallel()
	s := newScene(t, short)
	for _, k := range awaitProviders(t, s.etcd, greet, s.a, s.b) {
		testkit.Revoke(t, s.etcd.Client(), k.lease)
		s.requireReturn(t, k.name, k.lease)
	}
	testkit.Revoke(t, s.etcd.Client(), awaitKeys(t, s.etcd, consumersOf(greet), 1)[0].lease)
	s.requireAllIsWell(t)
}

func TestProviderReturnsAfterItsKeyIsDeletedByHand(t *testing.T) {
	t.Parallel()
	s := newScene(t, short)
	for _, k := range awaitProviders(t, s.etcd, greet, s.a, s.b) {
		testkit.Delete(t, s.etcd.Client(), k.name)
		s.requireReturn(t, k.name, clientv3.NoLease)
	}
	testkit.DeleteAll(t, s.etcd.Client(), consumersOf(greet))
	s.requireAllIsWell(t)
}

// requireReturn waits until a key is there again, under another lease, and both
// providers are called.
func (s *scene) requireReturn(t *testing.T, name string, old clientv3.LeaseID) {
	t.Helper()
	eventually(t, func() string { return name + " did not return" }, func() bool {
		found := keys(t, s.etcd, name)
		return len(found) == 1 && found[0].lease != old
	})
	awaitProviders(t, s.etcd, greet, s.a, s.b)
	awaitCalls(t, s.c, greet, s.a, s.b)
}

// Nobody can serve what nobody is registered for: calls fail until the
// providers notice, within half a session.
func TestAllReturnAfterEverythingIsDeletedByHand(t *testing.T) {
	t.Parallel()
	s := newScene(t, short)
	testkit.DeleteAll(t, s.etcd.Client(), "/dubbo/")
	awaitProviders(t, s.etcd, greet, s.a, s.b)
	awaitCalls(t, s.c, greet, s.a, s.b)
	s.c.reset()
	s.requireAllIsWell(t)
}

func TestConsumerStartedWhileEtcdIsAwayCallsWhomItKnew(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := start(t, provider(t, etcd, "a", long)), start(t, provider(t, etcd, "b", long))
	calling := consumer(etcd, long)
	calling.Home = t.TempDir()
	c := start(t, calling)
	awaitCalls(t, c, greet, a, b)
	eventually(t, func() string { return "there is no cache file with both providers" }, func() bool {
		files, err := filepath.Glob(filepath.Join(calling.Home, ".dubbo", "*.cache"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && strings.Count(string(text), "org.e2e.Greet?") >= 2 {
				return true
			}
		}
		return false
	})

	before := awaitKeys(t, etcd, consumersOf(greet), 1)[0]
	etcd.Kill()
	c.kill()
	c = start(t, calling)
	awaitCalls(t, c, greet, a, b)
	requireNoFailure(t, c)
	etcd.Start()
	eventually(t, func() string { return "the consumer is not registered" }, func() bool { // beside what it was before
		return slices.ContainsFunc(keys(t, etcd, consumersOf(greet)), func(k key) bool { return k.lease != before.lease })
	})
	late := start(t, provider(t, etcd, "late", long))
	awaitCalls(t, c, greet, a, b, late)
	requireNoFailure(t, c)
}
