// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// FuzzHistory has an etcd and its readers live through what the input says, step by
// step, and compares what they were told with what there was.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(historytest.Random(seed, 220)))
	}
	f.Fuzz(func(t *testing.T, history []byte) { live(t, history) })
}

func TestManyHistories(t *testing.T) {
	for seed := range uint64(150) {
		if t.Failed() {
			return
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { live(t, historytest.Random(seed, 220)) })
	}
}

// live has a world live through a history, and end.
func live(t *testing.T, history []byte) {
	synctest.Test(t, func(t *testing.T) {
		logtest.Record(t)
		w := newWorld(t, history)
		defer w.report()
		for len(w.history) > 0 && !t.Failed() {
			w.step()
		}
		if w.abrupt {
			w.end()
			w.mend()
		} else {
			w.settle()
			w.end()
		}
		synctest.Wait()
		if n := w.e.Watches(); n != 0 {
			w.failf("etcd has %d watches that nobody is interested in", n)
		}
	})
}

// newWorld takes what holds for a whole history from its first byte.
func newWorld(t *testing.T, history []byte) *world {
	w := &world{t: t, e: etcdfake.New(), history: history, stores: 1, began: []time.Time{time.Now()}, happened: map[string][]happened{}, compacted: map[int]bool{}}
	kind := w.next()
	cfg := Config{Dial: w.e.Dial(t), Timeout: time.Second, Session: session, PageSize: 1 + int64(kind&2)}
	if kind&1 != 0 {
		w.stores = manyStores
	}
	if kind&0x0c == 0x0c {
		cfg.MaxKeys = 8
		w.limit = cfg.MaxKeys
	}
	w.abrupt = kind&0x70 == 0x70
	w.h = NewHub(cfg)
	w.trace("world of %d stores, pages of %d keys, at most %d keys, abrupt end: %t", w.stores, cfg.PageSize, w.limit, w.abrupt)
	return w
}

// next is the next byte of the history; 0 when it is over.
func (w *world) next() byte { return byte(w.history.Next(256)) }

// choose takes one of n.
func (w *world) choose(n int) int { return int(w.next()) % n }

// steps are what may happen; what stands there several times happens as often.
var steps = []func(*world){
	(*world).put, (*world).put, (*world).put, (*world).put, (*world).put, (*world).put,
	(*world).remove, (*world).remove, (*world).remove, (*world).commit, (*world).commit,
	(*world).putElsewhere, (*world).putLate,
	(*world).openFeed, (*world).openFeed, (*world).openFeed, (*world).subscribe, (*world).subscribe,
	(*world).closeReader, (*world).closeReader,
	(*world).read, (*world).read, (*world).again,
	(*world).pass, (*world).pass, (*world).pass, (*world).pass,
	(*world).leave, (*world).leave, (*world).endWatches, (*world).moveWatches, (*world).compact, (*world).wipe,
	(*world).refuse, (*world).stall, (*world).slow, (*world).shrink, (*world).progress, (*world).retry, (*world).check,
	(*world).settle,
}

// step takes one step; after most of them all comes to rest, after some the next
// one comes at once.
func (w *world) step() {
	n := int(w.next())
	steps[n%len(steps)](w)
	if n < 200 {
		w.rest()
	}
}

func (w *world) put() {
	key := w.someKey()
	w.trace("put %s", key)
	w.commitAll([]string{key}, nil)
}

func (w *world) remove() {
	key := w.someKey()
	w.trace("delete %s", key)
	w.commitAll(nil, []string{key})
}

func (w *world) commit() {
	var puts, deletes []string
	for range 2 + w.choose(5) {
		key := w.someKey()
		switch {
		case slices.Contains(puts, key) || slices.Contains(deletes, key):
		case w.choose(3) == 0:
			deletes = append(deletes, key)
		default:
			puts = append(puts, key)
		}
	}
	w.trace("put %v and delete %v at once", puts, deletes)
	w.commitAll(puts, deletes)
}

func (w *world) putElsewhere() {
	n := 1 + w.choose(40)
	w.trace("put %d times elsewhere", n)
	for range n {
		w.e.Put(elsewhere, "")
	}
}

// putLate is a put of which watches hear with what happens next.
func (w *world) putLate() {
	key := w.someKey()
	w.trace("put %s, told late", key)
	w.pad()
	value := w.value()
	w.e.PutSilently(key, value)
	w.late = true
	w.note(key, value, false)
}

func (w *world) pass() {
	d := []time.Duration{time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, session}[w.choose(6)]
	w.trace("%v pass", d)
	time.Sleep(d)
}

// leave has etcd away, or back: then the watches go over a new stream.
func (w *world) leave() {
	w.away = !w.away
	w.trace("away: %t", w.away)
	if !w.away {
		w.h.Check()
	}
	w.reach()
}

func (w *world) endWatches() {
	w.trace("watches end")
	w.e.EndWatches()
}

func (w *world) moveWatches() {
	w.trace("watches move to another stream")
	w.h.moves(w.h.stream(), rpctypes.ErrInvalidAuthToken)
}

func (w *world) compact() {
	w.trace("compacted at %d", w.e.Revision())
	w.compacted[len(w.began)-1] = true
	w.e.Compact()
}

// wipe is another store in the place of the one that was.
func (w *world) wipe() {
	if len(w.began) == w.stores {
		return
	}
	w.trace("wiped at %d", w.e.Revision())
	w.e.Wipe()
	w.began = append(w.began, time.Now())
	if !w.away {
		w.h.Check()
	}
}

func (w *world) refuse() {
	if w.refused == "" {
		w.refused = keyPrefixes[w.choose(len(keyPrefixes))]
	} else {
		w.refused = ""
	}
	w.trace("refused: %q", w.refused)
	w.reach()
}

// stall has etcd answer nothing, or go on.
func (w *world) stall() {
	if w.hold == nil {
		w.hold = make(chan struct{})
	} else {
		close(w.hold)
		w.hold = nil
	}
	w.trace("held: %t", w.hold != nil)
	hold := w.hold
	w.e.Set(func(e *etcdfake.Etcd) { e.Hold = hold })
}

// slow has the pages of listings take a while.
func (w *world) slow() {
	d := []time.Duration{0, 10 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond}[w.choose(4)]
	w.trace("%v for a key of a page", d)
	w.e.Set(func(e *etcdfake.Etcd) { e.Delay = func(keys int) time.Duration { return time.Duration(keys) * d } })
}

// shrink has a transaction take fewer operations.
func (w *world) shrink() {
	n := []int{0, 1, 3}[w.choose(3)]
	w.trace("%d operations in a transaction", n)
	w.e.Set(func(e *etcdfake.Etcd) { e.MaxOps = n })
}

func (w *world) progress() {
	w.trace("progress")
	w.e.Progress()
}

func (w *world) retry() {
	w.trace("retry")
	w.h.Retry()
}

func (w *world) check() {
	w.trace("check")
	w.h.Check()
}

// rest waits until nothing happens any more at this moment, and has those read who do so
// at once.
func (w *world) rest() {
	synctest.Wait()
	for _, r := range w.feeds {
		if r.prompt {
			r.read()
		}
	}
}

// mend takes away whatever is wrong with etcd.
func (w *world) mend() {
	if w.hold != nil {
		w.stall()
	}
	w.e.Set(func(e *etcdfake.Etcd) { e.Delay, e.MaxOps = nil, 0 })
	w.refused = ""
	if w.away {
		w.leave()
	}
	w.reach()
	if w.late {
		w.late = false
		w.e.Put(elsewhere, "")
	}
}

// lasting is longer than it takes until readers know what there is, whatever
// happened: the slowest schedule, a comparison, a listing, and what is left of another
// store for a session.
const lasting = 60*time.Second + 2*session

// settle mends what is wrong, and compares when that is over. From then on whoever
// reads knows of each change at once.
func (w *world) settle() {
	w.trace("settles")
	w.mend()
	time.Sleep(lasting)
	w.rest()
	w.compare()
	if w.t.Failed() {
		return
	}
	key := w.someKey()
	w.commitAll([]string{key}, nil)
	w.rest()
	w.commitAll(nil, []string{key})
	time.Sleep(2 * time.Second) // that a listener takes
	w.rest()
	w.compare()
}

// end closes all that is open, in the order in which it was opened.
func (w *world) end() {
	w.trace("all close")
	for len(w.feeds) > 0 {
		w.closeFeed(0)
	}
	for len(w.listeners) > 0 {
		w.closeListener(0)
	}
	synctest.Wait()
	if s := w.h.Status(); len(s.Mirrors)+len(s.Readers) > 0 {
		w.failf("the status has mirrors or readers that nobody is interested in: %v", s)
	}
	w.h.Close()
}
