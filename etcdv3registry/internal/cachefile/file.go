// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dubbogo/gost/log/logger"
)

// DefaultDelay is Java's: how long after a change the file is saved.
const DefaultDelay = 500 * time.Millisecond

// Config is how a file is saved. Where those who share a file differ, it is
// saved at once if anybody wants that, and with the shortest delay.
type Config struct {
	// Immediate saves before Set returns (save.file=true). It is an attempt: if
	// another process is saving, or the file could not be saved lately, it is
	// saved later as without Immediate.
	Immediate bool
	// Delay is how long after a change the file is saved, together with what
	// else has changed until then. Zero: DefaultDelay. A save that failed is
	// tried again after twice the delay, then four times and so on, up to ten
	// times.
	Delay time.Duration
}

// File is a cache file. Its methods may be called from any goroutine; none
// waits for another process, and only the first Get or Set reads the file. Those of
// nil do nothing.
type File struct {
	path      string
	saver     *saver
	immediate atomic.Bool

	users int // who have it open; guarded by table.mu
	holds int // users and those who are closing; guarded by table.mu

	mu      sync.Mutex
	loaded  bool
	entries map[string]string // service key to URLs, as in the file and changed since
	own     map[string]bool   // the keys that were set by this process
	changed bool              // entries have, since they were saved
	later   map[made]Later
	saved   time.Time // when the file was last saved, by whomever; zero: there was none
	damaged bool      // the file cannot be read, and that was told

	making sync.Mutex // held while what is set later is made
	swept  bool       // what a crash left behind was removed; guarded by saver.saving
}

// Later makes the URLs of a service, of those that the file has.
type Later func(saved []string) []string

// made is what is made later: the URLs of a service, by somebody.
type made struct {
	serviceKey string
	by         any
}

// table holds the files in use.
var table = struct {
	mu     sync.Mutex
	byPath map[string]*File
	sum    tally // of all files, those that are closed included; it has no lock
}{byPath: map[string]*File{}}

// Open returns the process's use of a file, one for all who open the same
// path. It does no I/O. Each Open is undone by one Close.
func Open(path string, cfg Config) *File {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if cfg.Delay <= 0 {
		cfg.Delay = DefaultDelay
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	f := table.byPath[path]
	if f == nil {
		f = &File{path: path, own: map[string]bool{}, later: map[made]Later{}}
		f.saver = newSaver(path, f.save)
		table.byPath[path] = f
	}
	f.users++
	f.holds++
	f.saver.open(cfg.Delay)
	if cfg.Immediate {
		f.immediate.Store(true)
	}
	return f
}

// Close undoes one Open. The last one saves what is not saved yet; if another
// process is saving it waits two seconds at most. Set does nothing afterwards.
func (f *File) Close() {
	if f == nil {
		return
	}
	table.mu.Lock()
	if f.users == 0 {
		table.mu.Unlock()
		return
	}
	f.users--
	if f.users == 0 {
		f.saver.close()
	}
	last := f.users == 0
	table.mu.Unlock()

	if last {
		f.saver.flush()
	}

	table.mu.Lock()
	defer table.mu.Unlock()
	if f.holds--; f.holds == 0 {
		delete(table.byPath, f.path)
	}
}

// Path is where the file is; empty: there is none.
func (f *File) Path() string {
	if f == nil {
		return ""
	}
	return f.path
}

// Get returns the URLs of a service as they were last set, by this process or
// by one before it, and when the file was last saved: how old they may be. A
// service that had no URLs is ok too. The URLs are as they are in the file;
// whether they are any is for the caller to see.
func (f *File) Get(serviceKey string) (urls []string, saved time.Time, ok bool) {
	if f == nil {
		return nil, time.Time{}, false
	}
	f.catchUp()
	f.mu.Lock()
	defer f.mu.Unlock()
	value, ok := f.entries[serviceKey]
	return splitURLs(value), f.saved, ok
}

// Set replaces the URLs of a service. They hold no white space, as URLs do
// not. It saves nothing if they are what they were, in the same order.
func (f *File) Set(serviceKey string, urls []string) {
	urls = slices.Clone(urls)
	f.SetLater(serviceKey, nil, func([]string) []string { return urls })
}

// SetLater is Set of what urls makes, when the file is saved, or any of it is read:
// once, however often it was set by the same one until then, and in any order. It
// must not use the file.
func (f *File) SetLater(serviceKey string, by any, urls Later) {
	if f == nil || f.saver.isClosed() {
		return
	}
	f.mu.Lock()
	f.later[made{serviceKey, by}] = urls
	f.mu.Unlock()
	f.saver.changed(f.immediate.Load())
}

// catchUp makes what was to be made later, and reports whether there is something to
// save. Nobody waits for mu meanwhile.
func (f *File) catchUp() (changed bool) {
	f.making.Lock()
	defer f.making.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loadLocked()
	later := f.later
	f.later = map[made]Later{}
	for of, urls := range later {
		key := of.serviceKey
		before, known := f.entries[key]
		f.mu.Unlock()
		now := joinURLs(urls(splitURLs(before)))
		f.mu.Lock()
		f.own[key] = true
		f.entries[key] = now
		f.changed = f.changed || !known || now != before
	}
	return f.changed
}

func (f *File) loadLocked() {
	if f.loaded {
		return
	}
	f.loaded = true
	entries, saved, err := read(f.path)
	f.saver.tally.found(f.path)
	if err != nil {
		f.tellDamagedLocked(err)
	}
	f.entries, f.saved = entries, saved
}

// tellDamagedLocked warns once until the file has been saved again.
func (f *File) tellDamagedLocked(err error) {
	if !f.damaged {
		what := "is not used, and will be replaced"
		if errors.Is(err, errNoFile) {
			what = "is not used"
		}
		logger.Warnf("[etcdv3] cache file %s %s: %v", f.path, what, err)
	}
	f.damaged = true
}
