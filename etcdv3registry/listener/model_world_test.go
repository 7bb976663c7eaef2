// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
)

// world is an etcd, and those who read it.
type world struct {
	t       *testing.T
	e       *etcdfake.Etcd
	h       *Hub
	history historytest.Script // that is to come
	traced  []string
	abrupt  bool // all close while etcd is as it is
	limit   int  // keys that are mirrored; 0: all
	stores  int  // how many there may be

	away    bool
	refused string        // the prefix that may not be read; empty: none
	hold    chan struct{} // nil: etcd answers
	late    bool          // there is a change that watches have not been told of

	began     []time.Time // when each store did
	compacted map[int]bool
	values    int
	opened    int                   // readers
	happened  map[string][]happened // by key
	feeds     []*feedReader
	listeners []*listenerReader
}

// happened is what became of a key.
type happened struct {
	version
	created int64
	value   string
	deleted bool
}

// version is a revision of one of the stores.
type version struct {
	store int
	rev   int64
}

func (v version) before(o version) bool {
	return v.store < o.store || v.store == o.store && v.rev < o.rev
}

// manyStores is how many stores a history may have. In each one all that is read
// happens in revisions of its own, modulo this: of a key that was changed in the same
// revision of two stores a comparison does not tell which one it is.
const manyStores = 4

// elsewhere is a key that nobody reads.
const elsewhere = "/z"

var (
	keyPrefixes  = []string{"/a/", "/a/b/", "/c/", "/ab/"}
	readPrefixes = [][]string{{"/a/"}, {"/a/"}, {"/a/b/"}, {"/c/"}, {"/a/", "/c/"}, {"/c/", "/ab/", "/a/b/"}}
)

// someKey is one of few: a thing, of which there are two versions, one right after the
// other in the order of keys.
func (w *world) someKey() string {
	b := int(w.next())
	return fmt.Sprintf("%s%d-0%s", keyPrefixes[b%4], b/4%4, []string{"", "!"}[b/16%2])
}

func (w *world) trace(format string, args ...any) {
	w.traced = append(w.traced, fmt.Sprintf("%10v r%-4d ", time.Since(w.began[0]).Round(time.Millisecond), w.e.Revision())+fmt.Sprintf(format, args...))
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%v: %s", time.Since(w.began[0]), fmt.Sprintf(format, args...))
}

func (w *world) report() {
	if w.t.Failed() {
		w.t.Logf("what happened:\n%s", strings.Join(w.traced, "\n"))
	}
}

// reach sets whom etcd answers.
func (w *world) reach() {
	w.e.Away(w.away)
	if refused := w.refused; refused != "" && !w.away {
		w.e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, keys []string) error {
				if method != "Watch" && slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, refused) }) {
					return rpctypes.ErrGRPCPermissionDenied
				}
				return nil
			}
		})
	}
}

func (w *world) value() string {
	w.values++
	return fmt.Sprint("v", w.values)
}

// pad has the next revision be one of this store only.
func (w *world) pad() {
	for w.stores > 1 && w.storeOf(w.e.Revision()+1) != len(w.began)-1 {
		w.e.PutSilently(elsewhere, "")
	}
}

func (w *world) storeOf(revision int64) int { return int(revision) % w.stores }

func (w *world) commitAll(puts, deletes []string) {
	w.pad()
	values := map[string]string{}
	for _, key := range puts {
		values[key] = w.value()
	}
	deletes = slices.DeleteFunc(deletes, func(key string) bool { return len(w.e.Keys(key)) == 0 })
	w.e.Commit(values, deletes...)
	w.late = false
	for key, value := range values {
		w.note(key, value, false)
	}
	for _, key := range deletes {
		w.note(key, "", true)
	}
}

func (w *world) note(key, value string, deleted bool) {
	now := happened{version: version{len(w.began) - 1, w.e.Revision()}, value: value, deleted: deleted}
	now.created = now.rev
	if before := w.happened[key]; len(before) > 0 {
		if last := before[len(before)-1]; last.store == now.store && !last.deleted {
			now.created = last.created
		}
	}
	w.happened[key] = append(w.happened[key], now)
}

// there is what a reader of some prefixes has to know.
func (w *world) there(prefixes []string) map[string]happened {
	there := map[string]happened{}
	for _, prefix := range prefixes {
		for key, value := range w.e.Keys(prefix) {
			last := w.happened[key][len(w.happened[key])-1]
			if last.deleted || last.value != value {
				w.failf("the model is wrong about %s: it is %q, not %+v", key, value, last)
			}
			there[key] = last
		}
	}
	return there
}

// isLimited reports whether some keys may be left out.
func (w *world) isLimited(prefixes []string) bool {
	return w.limit > 0 && slices.ContainsFunc(prefixes, func(prefix string) bool {
		n := len(w.e.Keys(prefix))
		return n+n/8 > w.limit
	})
}

// mayBeGone reports whether a reader who knows a version of a key may be told that it
// is gone: it was deleted since, or lost with its store for long enough. If one of the
// stores was compacted it may have been listed anew for that, and what it lacks is gone.
func (w *world) mayBeGone(key string, known version) bool {
	for _, h := range w.happened[key] {
		if h.deleted && known.before(h.version) {
			return true
		}
	}
	other := known.store + 1
	lost := other < len(w.began) && time.Since(w.began[other]) >= session
	return lost || len(w.compacted) > 0 && other < len(w.began) || w.limit > 0
}

// find returns what happened to a key in a revision.
func (w *world) find(key string, revision int64) (happened, bool) {
	store := w.storeOf(revision)
	i := slices.IndexFunc(w.happened[key], func(h happened) bool { return h.store == store && h.rev == revision })
	if i < 0 {
		return happened{}, false
	}
	return w.happened[key][i], true
}

// mayBeLeft reports whether a key may be one that another store had.
func (w *world) mayBeLeft(key, value string, keysOnly bool) bool {
	return len(w.began) > 1 && slices.ContainsFunc(w.happened[key], func(h happened) bool { return !h.deleted && (keysOnly || h.value == value) })
}

// compare finds out whether all readers know what there is. Nothing may be wrong with
// etcd, and for long enough.
func (w *world) compare() {
	for _, r := range w.feeds {
		r.read()
		r.compare()
	}
	for _, l := range w.listeners {
		l.compare()
	}
	w.compareStatus()
}

func (w *world) compareStatus() {
	type counts struct{ readers, keys int }
	want := map[mirrored]counts{}
	add := func(prefixes []string, keysOnly bool) {
		for _, prefix := range prefixes {
			what := mirrored{prefix, keysOnly}
			want[what] = counts{want[what].readers + 1, len(w.e.Keys(prefix))}
		}
	}
	for _, r := range w.feeds {
		add(r.prefixes, r.keysOnly)
	}
	for _, l := range w.listeners {
		add(l.prefixes, true)
	}
	status := w.h.Status()
	got := map[mirrored]counts{}
	for _, m := range status.Mirrors {
		what := mirrored{m.Prefix, m.KeysOnly}
		got[what] = counts{m.Readers, m.Keys}
		if w.isLimited([]string{m.Prefix}) {
			want[what] = got[what]
			continue
		}
		if !m.Listed || m.Partial || m.Retained != 0 || m.Err != nil || !m.StaleSince.IsZero() || m.Revision > w.e.Revision() {
			w.failf("the status says of a mirror: %+v", m)
		}
	}
	if !maps.Equal(want, got) {
		w.failf("the status has the mirrors %v, not %v", got, want)
	}
	if want := len(w.feeds) + len(w.listeners); len(status.Readers) != want {
		w.failf("the status has %d readers, not %d", len(status.Readers), want)
	}
	for _, r := range status.Readers {
		if !r.Listed || r.Pending != 0 || !r.Telling.IsZero() {
			w.failf("the status says of a reader: %+v", r)
		}
	}
	if want := len(want); w.e.Watches() != want {
		w.failf("etcd has %d watches, not %d", w.e.Watches(), want)
	}
}
