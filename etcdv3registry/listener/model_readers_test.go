// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
)

// feedReader reads a feed: at once, or when the history says so.
type feedReader struct {
	*Feed
	w        *world
	name     string
	prefixes []string
	keysOnly bool
	prompt   bool
	known    map[string]happened
	last     map[string]version // that was told of each key
	heard    bool               // there was something, if only that there is nothing
}

func (w *world) openFeed() {
	r := &feedReader{w: w, name: w.newName("feed"), known: map[string]happened{}, last: map[string]version{}}
	r.prefixes = readPrefixes[w.choose(len(readPrefixes))]
	kind := w.next()
	r.keysOnly, r.prompt = kind%4 == 0, kind%8 < 5
	w.trace("%s of %v, only keys: %t, prompt: %t", r.name, r.prefixes, r.keysOnly, r.prompt)
	r.Feed = w.h.open(r.prefixes, r.keysOnly)
	w.feeds = append(w.feeds, r)
}

func (w *world) newName(kind string) string {
	w.opened++
	return fmt.Sprint(kind, " ", w.opened)
}

func (w *world) read() {
	if len(w.feeds) > 0 {
		r := w.feeds[w.choose(len(w.feeds))]
		w.trace("%s is read", r.name)
		r.read()
	}
}

func (w *world) closeReader() {
	n := len(w.feeds) + len(w.listeners)
	if n == 0 {
		return
	}
	if i := w.choose(n); i < len(w.feeds) {
		w.closeFeed(i)
	} else {
		w.closeListener(i - len(w.feeds))
	}
}

func (w *world) closeFeed(i int) {
	w.trace("%s closes", w.feeds[i].name)
	w.feeds[i].Close()
	w.feeds = slices.Delete(w.feeds, i, i+1)
}

// read takes what there is, and judges each change by itself.
func (r *feedReader) read() {
	signalled := len(r.Changed()) > 0
	if signalled {
		<-r.Changed()
		r.heard = true
	}
	changes := r.Take()
	seen := map[string]bool{}
	for _, c := range changes {
		if seen[c.Key] || !slices.ContainsFunc(r.prefixes, func(prefix string) bool { return strings.HasPrefix(c.Key, prefix) }) {
			r.w.failf("%s was told of %s, twice: %t", r.name, c.Key, seen[c.Key])
		}
		seen[c.Key] = true
		if c.Deleted {
			r.gone(c)
		} else {
			r.put(c)
		}
	}
}

func (r *feedReader) gone(c Change) {
	if len(r.w.happened[c.Key]) == 0 {
		r.w.failf("%s was told that %s is gone, which never was", r.name, c.Key)
	}
	if known, ok := r.known[c.Key]; ok && !r.w.mayBeGone(c.Key, known.version) {
		r.w.failf("%s was told that %s is gone, of which it knew %+v", r.name, c.Key, known)
	}
	delete(r.known, c.Key)
}

func (r *feedReader) put(c Change) {
	now, ok := r.w.find(c.Key, c.Changed)
	last, told := r.last[c.Key]
	switch {
	case c.Changed == 0: // it is left of another store
		now, ok = happened{version: last, value: string(c.Value)}, r.w.mayBeLeft(c.Key, string(c.Value), r.keysOnly)
	case told && !last.before(now.version) && r.w.limit == 0:
		r.w.failf("%s was told of %s in %+v after %+v", r.name, c.Key, now.version, last)
	case r.keysOnly:
		now.value = ""
	}
	if !ok || now.deleted || now.created != c.Created || now.value != string(c.Value) {
		r.w.failf("%s was told of %s %+v, and there was %+v", r.name, c.Key, c, now)
	}
	r.known[c.Key], r.last[c.Key] = now, now.version
}

func (r *feedReader) compare() {
	there := r.w.there(r.prefixes)
	if r.w.isLimited(r.prefixes) {
		return
	}
	if r.keysOnly {
		for key, h := range there {
			h.value = ""
			there[key] = h
		}
	}
	if !maps.Equal(there, r.known) {
		r.w.failf("%s knows\n\t%v\nof what there is:\n\t%v", r.name, r.known, there)
	}
	if !r.heard {
		r.w.failf("%s has never heard that there is something, or nothing", r.name)
	}
	if err := r.Ready(r.w.t.Context()); err != nil {
		r.w.failf("%s is not ready: %v", r.name, err)
	}
}

// listenerReader is a listener of the framework.
type listenerReader struct {
	w        *world
	s        *Subscription
	name     string
	prefixes []string
	takes    time.Duration // each call
	keepLast bool
	cache    *saved

	mu     sync.Mutex // guards what follows
	inside bool
	closed bool
	known  map[string]string // keys by thing
	order  []string          // keys, of the last list
	told   bool              // there was something
}

func (w *world) subscribe() {
	l := &listenerReader{w: w, name: w.newName("listener"), known: map[string]string{}}
	l.prefixes = readPrefixes[w.choose(len(readPrefixes))]
	kind := w.next()
	l.takes = []time.Duration{0, 0, 0, 200 * time.Millisecond}[kind%4]
	view := View{Read: urlOf, ID: func(_ string, u *common.URL) string { return u.Location }}
	if l.keepLast = kind/4%4 == 0; l.keepLast {
		view.KeepLast = func(string) bool { return true }
	}
	if kind/16%4 == 0 {
		l.cache = &saved{ok: true, keys: []string{l.prefixes[0] + "1-0", l.prefixes[0] + "5-0"}}
		view.Cache = l.cache
	}
	if kind/64%4 == 0 {
		view.Whole = func(u *common.URL) bool { return strings.HasSuffix(u.Path, "0") }
	}
	w.trace("%s of %v, slow: %v, keeps the last: %t, cache: %t", l.name, l.prefixes, l.takes, l.keepLast, l.cache != nil)
	l.s = w.h.Subscribe(l.prefixes, view, l)
	w.listeners = append(w.listeners, l)
	l.s.Start(time.Second)
}

// urlOf has the thing of a key be a host.
func urlOf(key string) (*common.URL, error) {
	at := strings.LastIndexByte(key, '/')
	thing, _, _ := strings.Cut(key[at+1:], "-")
	prefix := slices.Index(keyPrefixes, key[:at+1])
	return common.NewURL(fmt.Sprintf("tri://10.0.%d.%s:20000%s", prefix, thing, key))
}

func (w *world) closeListener(i int) {
	l := w.listeners[i]
	for l.isInside() { // a lock that is waited for has no time pass
		time.Sleep(l.takes)
	}
	w.trace("%s closes", l.name)
	l.s.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	w.listeners = slices.Delete(w.listeners, i, i+1)
}

func (l *listenerReader) isInside() bool {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inside
}

func (w *world) again() {
	if len(w.listeners) > 0 {
		l := w.listeners[w.choose(len(w.listeners))]
		w.trace("%s is told again", l.name)
		l.s.Again()
	}
}

// call is one of the listener, which takes its time.
func (l *listenerReader) call(take func()) {
	l.mu.Lock()
	if l.inside || l.closed {
		l.w.failf("%s was told something, during another call: %t, after it was closed: %t", l.name, l.inside, l.closed)
	}
	l.inside = true
	take()
	l.told = l.told || len(l.known) > 0
	l.mu.Unlock()
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside = false
}

func (l *listenerReader) Notify(e *registry.ServiceEvent) {
	l.call(func() {
		before, known := l.known[e.Key()]
		key := e.Service.Path
		if known != (e.Action != remoting.EventTypeAdd) || known && (before == key) != (e.Action == remoting.EventTypeDel) {
			l.w.failf("%s was told %v of %s, and knew %q", l.name, e.Action, key, before)
		}
		if e.Action == remoting.EventTypeDel {
			delete(l.known, e.Key())
		} else {
			l.known[e.Key()] = key
		}
	})
}

func (l *listenerReader) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	l.call(func() {
		l.known, l.order = map[string]string{}, nil
		for _, e := range events {
			if l.known[e.Key()] != "" || e.Action == remoting.EventTypeDel {
				l.w.failf("%s was told %v of %s, in a list that has it already: %q", l.name, e.Action, e.Key(), l.known[e.Key()])
			}
			l.known[e.Key()] = e.Service.Path
			l.order = append(l.order, e.Service.Path)
		}
	})
}

// compare has the listener told all of it once more.
func (l *listenerReader) compare() {
	there := l.w.there(l.prefixes)
	if l.w.isLimited(l.prefixes) {
		return
	}
	latest := map[string]string{}
	for key := range there {
		u, _ := urlOf(key)
		if before, ok := latest[u.Location]; !ok || cmp.Or(cmp.Compare(there[before].created, there[key].created), cmp.Compare(before, key)) < 0 {
			latest[u.Location] = key
		}
	}
	l.mu.Lock()
	known, told := maps.Clone(l.known), l.told
	l.mu.Unlock()
	if l.keepLast && len(there) == 0 {
		if told && len(known) == 0 {
			l.w.failf("%s was to keep the last that it was told, and knows nothing", l.name)
		}
		return
	}
	if !maps.Equal(latest, known) {
		l.w.failf("%s knows\n\t%v\nof what there is:\n\t%v", l.name, known, latest)
		return
	}
	if l.cache != nil && !maps.Equal(asSet(slices.Values(l.cache.keys)), asSet(maps.Values(known))) {
		l.w.failf("of %s %v is saved, not %v", l.name, l.cache.keys, known)
	}
	l.s.Again()
	synctest.Wait()
	time.Sleep(l.takes)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	want := slices.SortedFunc(maps.Values(latest), func(a, b string) int {
		return cmp.Or(cmp.Compare(there[a].created, there[b].created), cmp.Compare(a, b))
	})
	if !slices.Equal(want, l.order) {
		l.w.failf("%s was told of %v in this order: %v", l.name, want, l.order)
	}
}

func asSet(keys iter.Seq[string]) map[string]bool {
	set := map[string]bool{}
	for key := range keys {
		set[key] = true
	}
	return set
}
