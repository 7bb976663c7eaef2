// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	herdServices = 50
	herdAway     = 12 * time.Second // longer than their sessions
	herdLimit    = 30 * time.Second
)

// herd are processes that lose one server in the same moment. Each has a
// connection and a session of its own, registers a provider, and is a consumer
// of one of the services. All of them, and the server, are on one machine.
type herd struct {
	b         *testing.B
	store     Store
	n         int
	members   []Registry
	consumers []*listener
}

// benchmarkHerd measures the time from the moment when a server that was killed
// serves again, until each consumer knows all providers of its service, of which
// one has been added in that moment by another program, and all keys are there
// that go away with their process. It counts what the server is asked until then.
func benchmarkHerd(b *testing.B, c Contender) {
	if runtime.GOOS != "linux" {
		b.Skip("the clients need many loopback addresses")
	}
	h := newHerd(b, c)
	once(b, func() {
		h.store.Kill()
		time.Sleep(scale.For(herdAway, time.Second))
		h.store.Restart()
		begin := time.Now()
		for i := range herdServices {
			h.store.Put(b, keyOf(provider(serviceName(i), h.n+i)))
		}
		limit := scale.For(herdLimit, patience)
		consumers, keys := 0, 0
		_, ok := testkit.Poll(limit, 20*time.Millisecond, func() bool {
			if consumers = h.exact(); consumers == h.n {
				keys = h.keys()
			}
			return keys == h.n
		})
		if ok {
			reportTime(b, time.Since(begin), "total")
		}
		requests := awaitQuiet(b, h.store, limit-time.Since(begin))
		b.ReportMetric(float64(requests-herdServices)/float64(h.n), "requests/client")
		reportArrived(b, min(consumers, max(keys, h.keys())), h.n, limit)
	})
}

// awaitQuiet waits until the server has not been asked for anything in a while, and
// returns how many messages it has had.
func awaitQuiet(b *testing.B, store Store, limit time.Duration) (requests int) {
	b.Helper()
	before := -1
	testkit.Poll(limit, scale.For(quietInterval, time.Second), func() bool {
		before, requests = requests, store.Requests(b)
		return before == requests
	})
	return requests
}

func newHerd(b *testing.B, c Contender) *herd {
	b.Helper()
	h := &herd{b: b, store: c.Start(b, false), n: scale.Of(1000, 100)}
	h.members, h.consumers = make([]Registry, h.n), make([]*listener, h.n)
	var starting errgroup.Group
	starting.SetLimit(atOnce)
	for i := range h.n {
		starting.Go(func() (err error) {
			h.members[i], err = c.Open(etcdtest.Loopback(h.store.Address(), i), noCache("session", "10s")...)
			if err != nil {
				return err
			}
			if err := h.members[i].Register(provider(serviceName(i%herdServices), i)); err != nil {
				return err
			}
			h.consumers[i] = newListener()
			return h.members[i].Subscribe(consumer(serviceName(i%herdServices)), h.consumers[i])
		})
	}
	b.Cleanup(h.leave)
	if err := starting.Wait(); err != nil {
		b.Fatal(err)
	}
	testkit.Within(patience, func() bool { return h.known() == h.n })
	return h
}

func (h *herd) leave() {
	var leaving sync.WaitGroup
	for _, r := range h.members {
		if r != nil {
			leaving.Go(r.Destroy)
		}
	}
	leaving.Wait()
}

// known is how many consumers know all members of their service, exact how many
// also know the provider that was added.
func (h *herd) known() int { return h.countKnowing(0) }
func (h *herd) exact() int { return h.countKnowing(1) }

func (h *herd) countKnowing(added int) (n int) {
	for _, l := range h.consumers {
		if l.count() == h.n/herdServices+added {
			n++
		}
	}
	return n
}

// keys is how many keys of members are there.
func (h *herd) keys() (n int) {
	for i := range herdServices {
		n += len(h.store.Keys(h.b, pathOf(serviceName(i))))
	}
	return n
}
