// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// histories is how many pseudo-random ones each test run goes through.
const histories = 120

// FuzzHistory has instances, their metadata, those who follow them and etcd do
// whatever its input says, step by step. In the end, when all that was wrong has been
// put right, everybody must have been told what etcd has.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(histories) {
		f.Add([]byte(historytest.Random(seed, 200)))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(t, input)
			for h.step() {
			}
			h.end()
		})
	})
}

// history is one run: an etcd, those who write to it, and those who follow it.
type history struct {
	t     *testing.T
	e     *etcdfake.Etcd
	log   *logtest.Log
	input historytest.Script
	did   []string // the steps so far, in words

	metadata  *moods
	instances map[string]*instance // what was ever put, by its value
	stamps    int                  // that were given out
	mu        sync.Mutex           // guards what follows against heard
	owners    []*Discovery         // of processes that register instances
	users     []*Discovery         // of the process that is looked at
	readers   []*modelReader
	listeners []*modelListener
	left      []*modelListener                 // that were removed
	aside     sync.WaitGroup                   // what is being closed
	asked     map[*Discovery]map[string]string // what was returned last, by application

	keepLast, cached bool
	file             string
	away, stopped    bool
	refusing         error         // that whoever reads is answered; nil: is not
	hold             chan struct{} // nil: etcd does not stand still
	delays           bool
	mended           time.Time // when something was wrong with etcd last
}

func newHistory(t *testing.T, input []byte) *history {
	h := &history{
		t: t, e: etcdfake.New(), log: logtest.Record(t), input: input, instances: map[string]*instance{},
		asked:    map[*Discovery]map[string]string{},
		metadata: &moods{t: t, of: map[string]mood{}},
	}
	options := h.next(8)
	h.keepLast, h.cached = options&1 != 0, options&6 == 6
	if h.cached {
		h.file = filepath.Join(t.TempDir(), "discovery.cache")
	}
	for n := range 2 {
		h.users = append(h.users, h.user())
		h.owners = append(h.owners, h.owner(n))
	}
	for n := range 2 {
		h.readers = append(h.readers, newModelReader(h, n))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("input %q:\n%s", input, strings.Join(h.did, "\n"))
		}
	})
	return h
}

// user is a Discovery of the process that is looked at.
func (h *history) user() *Discovery {
	return discovering(h.t, h.e, func(cfg *config) {
		cfg.metadata, cfg.KeepLast = h.metadata.ask, h.keepLast
		if h.cached {
			cfg.CachePath, cfg.SaveAtOnce = func(string) string { return h.file }, true
		}
	})
}

// owner is a Discovery of another process.
func (h *history) owner(n int) *Discovery {
	return discovering(h.t, h.e, func(cfg *config) {
		cfg.Cluster.Endpoints = []string{fmt.Sprintf("%s of owner %d", h.t.Name(), n)}
		cfg.metadata = h.metadata.ask
	})
}

// next is the next byte of the input, below a limit; 0 if there is none.
func (h *history) next(below int) int { return h.input.Next(below) }

// do notes a step in words.
func (h *history) do(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf("%v %s", time.Since(bubble).Round(time.Millisecond), fmt.Sprintf(format, args...)))
}

// bubble is when the time of a bubble begins.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// end puts right what is wrong, has time pass, and checks what everybody was told.
func (h *history) end() {
	h.look()
	h.do("all is put right")
	h.metadata.well()
	for _, l := range h.listeners {
		l.release()
	}
	h.unhold()
	h.away, h.refusing, h.delays = false, nil, false
	h.e.Set(func(e *etcdfake.Etcd) { e.Delay = nil })
	h.reach()
	if h.keepLast { // or there are those that are kept
		for _, app := range apps {
			h.put(h.made(app, "10.0.0.9", 20000, "r1"))
		}
	}
	h.e.Put("/other", "") // etcd tells what it has not told yet
	time.Sleep(3 * time.Minute)
	h.aside.Wait()
	synctest.Wait()
	truth := h.check()
	h.checkOwners(truth)
	h.checkStatus(truth)
	for _, d := range h.users {
		names := []any{}
		for app, all := range truth {
			assert.Equal(h.t, all.told(), toldOf(d.GetInstances(app)), "instances of %s", app)
			if all.keys > 0 {
				names = append(names, app)
			}
		}
		assert.ElementsMatch(h.t, names, d.GetServices().Values())
	}
	h.leave()
}

// check looks what everybody has been told, when all has been well for long enough.
func (h *history) check() map[string]*truth {
	all := h.truth()
	for _, r := range h.readers {
		r.check(all)
	}
	for _, l := range h.listeners {
		l.check(all)
	}
	return all
}

// isWell reports whether nothing is wrong with etcd, nor has been for a while.
func (h *history) isWell(since time.Duration) bool {
	return !h.away && h.refusing == nil && h.hold == nil && !h.delays && time.Since(h.mended) > since
}

// leave closes everything: nothing is to be left of it, and nobody told any more.
func (h *history) leave() {
	h.do("all leave")
	for _, r := range h.readers {
		r.closeAll()
	}
	for len(h.listeners) > 0 {
		h.remove(0)
	}
	time.Sleep(h.users[0].Timeout() + askedFor + time.Second) // what was asked for is watched so long
	synctest.Wait()
	assert.Zero(h.t, h.e.Watches(), "watches")
	for _, d := range h.users {
		d.mu.Lock()
		assert.Empty(h.t, d.listening)
		assert.Empty(h.t, d.followed)
		d.mu.Unlock()
	}
	h.put(h.made("shop", "10.0.0.1", 20000, "r1"))
	for _, d := range append(h.users, h.owners...) {
		require.NoError(h.t, d.Destroy())
	}
	h.metadata.set("", fails) // nobody is asked any more
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, l := range h.left {
		assert.Zero(h.t, l.afterwards.Load(), "%s is told of something after it was removed", l.name)
	}
	for _, r := range h.readers {
		assert.Empty(h.t, r.changed, "%v is woken after its feeds were closed", r.name)
	}
	for _, line := range h.log.Lines("[etcdv3] a listener of") {
		assert.Contains(h.t, line, onPurpose, "nobody else fails")
	}
}
