// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// soakVariable says how many references a soak makes; 1,000 for hours' worth.
const soakVariable = "E2E_SOAK"

// soakLength is how many it makes when nobody says.
const soakLength = 50

// noise is how many goroutines there may be more than before: a collector, a
// timer, a call.
const noise = 5

// inUse is how many calls are made with a reference before it is destroyed: a
// watch that is given up while it is still being made stays in etcd until
// something happens under it (etcd's client does not cancel it then).
const inUse = 20

// held is what a process holds, also in etcd.
type held struct {
	usage
	Watchers    int // in etcd
	Keys        int // likewise, but for those of interfaces, which stay
	Streams     int // of watches
	Connections int // to etcd
}

// within says whether h is no more than was.
func (h held) within(was held) bool {
	return h.Goroutines <= was.Goroutines+noise && h.Sockets <= was.Sockets+2 &&
		h.Watchers <= was.Watchers && h.Keys <= was.Keys && h.Streams <= was.Streams && h.Connections <= was.Connections
}

// soak is a consumer that makes and destroys references.
type soak struct {
	t     *testing.T
	etcd  *etcdtest.Server
	proxy *etcdtest.Proxy // between the consumer and etcd
	known []service       // those that are provided, by one or two applications
	c     *process
	made  int
}

func newSoak(t *testing.T, typ registryType) *soak {
	s := &soak{t: t, etcd: etcdtest.Start(t), known: numbered(4)}
	s.proxy = etcdtest.NewProxy(t, s.etcd.Endpoint())
	a := start(t, at(provider(t, s.etcd, "a", long, s.known...), typed(s.etcd, typ)))
	b := start(t, at(provider(t, s.etcd, "b", long, s.known[2:]...), typed(s.etcd, typ)))
	calling := at(consumer(s.etcd, long, s.known...), registrySpec{Address: s.proxy.Addr(), Type: typ})
	calling.Pause = 4 * time.Millisecond
	s.c = start(t, calling)
	awaitView(t, s.c, of(s.known[:2], a).and(of(s.known[2:], a, b)))
	for _, one := range s.known[1:] {
		s.c.destroy(one)
	}
	return s
}

// one makes a reference, has it called and destroys it. Each third one is to a
// service that nobody provides, of a name of its own.
func (s *soak) one() {
	s.t.Helper()
	s.made++
	one := alias(s.known[s.made%len(s.known)], "soak")
	nobody := s.made%3 == 0
	if nobody {
		one.Interface = fmt.Sprintf("org.e2e.Nobody%04d", s.made)
	}
	s.c.refer(one)
	eventually(s.t, func() string { return "it is not called: " + one.reference() }, func() bool {
		calls := s.c.calls(one)
		return calls.Answered >= inUse || nobody && calls.Failed >= inUse
	})
	s.c.destroy(one)
}

func (s *soak) holds() held {
	metrics := s.etcd.Metrics()
	return held{
		usage:       s.c.usage(),
		Watchers:    int(metrics.Value(etcdtest.MetricWatchers, nil)),
		Keys:        strings.Count(strings.Join(slices.Collect(maps.Keys(testkit.Keys(s.t, s.etcd.Client(), "/dubbo/"))), "\n"), "/consumers/"),
		Streams:     int(metrics.Value(etcdtest.MetricWatchStreams, nil)),
		Connections: s.proxy.Open(),
	}
}

// most returns the most of everything that the consumer holds in a while in which
// no reference is made: on a busy machine it hardly ever holds the same twice.
func (s *soak) most() held {
	s.t.Helper()
	var most held
	for range 30 {
		now := s.holds()
		most.Goroutines = max(most.Goroutines, now.Goroutines)
		most.Sockets = max(most.Sockets, now.Sockets)
		most.Watchers = max(most.Watchers, now.Watchers)
		most.Keys = max(most.Keys, now.Keys)
		most.Streams = max(most.Streams, now.Streams)
		most.Connections = max(most.Connections, now.Connections)
		time.Sleep(100 * time.Millisecond)
	}
	return most
}

func TestReferencesMadeAndDestroyedLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	n := soakLength
	if said := os.Getenv(soakVariable); said != "" {
		var err error
		n, err = strconv.Atoi(said)
		require.NoError(t, err)
	}
	for name, typ := range map[string]registryType{"ByApplication": byApplication, "ByInterface": byInterface} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSoak(t, typ)
			for range 12 { // all that is made once
				s.one()
			}
			was, stacks := s.most(), s.c.stacks()
			for range n {
				s.one()
			}
			var now held
			eventually(t, func() string {
				return fmt.Sprintf("%d references leave something behind: %+v, before %+v\nmore goroutines than before:\n%s", n, now, was, more(stacks, s.c.stacks()))
			}, func() bool {
				now = s.holds()
				return now.within(was)
			})
			t.Logf("%d references: %+v, before %+v", n, now, was)
			s.c.reset()
			awaitMore(t, s.c, s.known[0], enough)
			requireNoFailure(t, s.c)
		})
	}
}

// more returns where there are more goroutines than before.
func more(before, after map[string]int) string {
	var grown []string
	for stack, n := range after {
		if n > before[stack]+1 {
			grown = append(grown, fmt.Sprintf("%4d, before %4d: %s", n, before[stack], stack))
		}
	}
	slices.Sort(grown)
	return strings.Join(grown, "\n")
}
