// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const recoverLimit = 20 * time.Second

// outages is for how long a server is away that is restarted, one time after another: a
// client that tries again after so many seconds is back at once from some of them.
var outages = []time.Duration{3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second}

// scene is a process with many registrations, and a consumer of them.
type scene struct {
	b     *testing.B
	store Store
	l     *listener
	n     int
}

func newScene(b *testing.B, c Contender) *scene {
	b.Helper()
	s := &scene{b: b, store: c.Start(b, false), l: newListener(), n: scale.Of(1000, 30)}
	r := open(b, c, s.store, noCache()...)
	registerAll(b, r, 0, 0, s.n)
	if err := r.Subscribe(consumer(serviceName(0)), s.l); err != nil {
		b.Fatal(err)
	}
	settle(s.l, s.n)
	awaitQuiet(b, s.store, patience) // it has started
	return s
}

func (s *scene) limit() time.Duration { return scale.For(recoverLimit, 3*time.Second) }

func (s *scene) keys() []string { return s.store.Keys(s.b, pathOf(serviceName(0))) }

// awaitKeys waits until all keys are there, and reports how many are.
func (s *scene) awaitKeys(begin time.Time) (all bool) {
	s.b.Helper()
	there := 0
	_, all = testkit.Within(s.limit()-time.Since(begin), func() bool {
		there = len(s.keys())
		return there >= s.n
	})
	reportArrived(s.b, min(there, s.n), s.n, s.limit())
	return all
}

// returns is how long keys were gone that are back.
type returns struct {
	mu   sync.Mutex // guards what follows
	gone map[string]time.Time
	took distribution
	last time.Time // when the last one came back
}

func (r *returns) note(key string, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, gone := r.gone[key]
	switch {
	case deleted && !gone:
		r.gone[key] = time.Now()
	case !deleted && gone:
		delete(r.gone, key)
		r.last = time.Now()
		r.took = append(r.took, r.last.Sub(since))
	}
}

func (r *returns) back() (n int, last time.Time, took distribution) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.took), r.last, slices.Clone(r.took)
}

// lose has all keys lost, and waits until they are back. It reports how long that
// took, and of each key how long it was gone, if the store tells.
func (s *scene) lose(lose func()) {
	s.b.Helper()
	store, ok := s.store.(Observer)
	if !ok {
		begin := time.Now()
		lose()
		if s.awaitKeys(begin) {
			reportTime(s.b, time.Since(begin), "total")
		}
		return
	}
	seen, begin := store.Observe(s.b, pathOf(serviceName(0))), time.Now()
	lose()
	testkit.Poll(s.limit()-time.Since(begin), time.Millisecond, func() bool {
		n, _, _ := seen.back()
		return n >= s.n
	})
	n, last, took := seen.back()
	if n >= s.n {
		reportTime(s.b, last.Sub(begin), "total")
		took.report(s.b)
	}
	reportArrived(s.b, min(n, s.n), s.n, s.limit())
}

// recoverRestart measures the time from the moment when a server that was away
// serves again, until all keys are there, each of a session that lives, and the
// consumer knows all providers: one more than before, which another program has
// put in that moment. It is the median of several outages.
func recoverRestart(b *testing.B, c Contender) {
	s := newScene(b, c)
	once(b, func() {
		var took distribution
		for i, outage := range outages[:scale.Of(len(outages), 1)] {
			s.store.Kill()
			time.Sleep(scale.For(outage, time.Second))
			s.store.Restart()
			begin := time.Now()
			known := s.l.expectCount(s.n + i + 1)
			s.store.Put(b, keyOf(provider(serviceName(0), s.n+i)))
			select {
			case <-known:
			case <-time.After(s.limit()):
				reportArrived(b, s.l.count(), s.n+i+1, s.limit())
				return
			}
			if !s.awaitKeys(begin) {
				return
			}
			took = append(took, time.Since(begin))
		}
		reportTime(b, took.median(), "total")
	})
}

// recoverSessions measures the time from the moment when an operator has ended
// all sessions until all keys are back.
func recoverSessions(b *testing.B, c Contender) {
	s := newScene(b, c)
	store, ok := s.store.(Revoker)
	if !ok {
		b.Skip("no operator can end a session")
	}
	once(b, func() { s.lose(func() { store.RevokeAll(b) }) })
}

// recoverKey measures how long it takes until a key is back that somebody has
// deleted, one after another.
func recoverKey(b *testing.B, c Contender) {
	s := newScene(b, c)
	keys := s.keys()
	once(b, func() {
		var took distribution
		wanted := 0
		for end := time.Now().Add(s.limit()); wanted < scale.Of(200, 10) && wanted < len(keys) && time.Now().Before(end); wanted++ {
			begin := time.Now()
			s.store.Delete(b, keys[wanted])
			if _, ok := testkit.Poll(time.Until(end), time.Millisecond, func() bool { return len(s.keys()) >= s.n }); ok {
				took = append(took, time.Since(begin))
			}
		}
		took.report(b)
		reportArrived(b, len(took), wanted, s.limit())
	})
}

// recoverKeys measures the same of all keys at once.
func recoverKeys(b *testing.B, c Contender) {
	s := newScene(b, c)
	keys := s.keys()
	once(b, func() {
		s.lose(func() {
			for _, key := range keys {
				s.store.Delete(b, key)
			}
		})
	})
}

func parseKey(b *testing.B, key string) *common.URL {
	b.Helper()
	u, err := parse([]byte(key))
	if err != nil {
		b.Fatal(err)
	}
	return u
}
