// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Status is a snapshot of a file in use.
type Status struct {
	Path  string
	Saved time.Time // when it was saved last, by whomever; zero: it is not there, or was not read yet
	Bytes int64     // it had then
	Totals
	Err error // why it cannot be saved; nil: it can
}

// Totals are what this process has saved.
type Totals struct {
	Saves    uint64
	Failures uint64 // attempts that failed, but for those that found another process saving
	Written  uint64 // bytes
}

// tally is what a Status has of what the saver does. The zero value is ready.
type tally struct {
	saves, failures, written atomic.Uint64

	bytes atomic.Int64 // of the file
	at    atomic.Int64 // when it was saved, as time.Time.UnixNano; 0: see Status.Saved
	err   atomic.Pointer[error]
}

// attempted notes how an attempt to save went. One of no bytes had nothing to save.
func (t *tally) attempted(bytes int, err error) {
	switch {
	case errors.Is(err, errBusy): // which says nothing about the file
		return
	case err != nil:
		t.failures.Add(1)
		t.err.Store(&err)
		return
	case bytes > 0:
		t.saves.Add(1)
		t.written.Add(uint64(bytes))
		t.is(int64(bytes), time.Now())
	}
	t.err.Store(nil)
}

// is notes how large the file is, and of when.
func (t *tally) is(bytes int64, saved time.Time) {
	t.bytes.Store(bytes)
	t.at.Store(saved.UnixNano())
}

// found notes what there is of a file that was read.
func (t *tally) found(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		t.is(info.Size(), info.ModTime())
	}
}

func (t *tally) totals() Totals {
	return Totals{Saves: t.saves.Load(), Failures: t.failures.Load(), Written: t.written.Load()}
}

// Statuses returns a snapshot of each file in use, by path. It does no I/O, and
// waits for none.
func Statuses() []Status {
	table.mu.Lock()
	files := slices.Collect(maps.Values(table.byPath))
	table.mu.Unlock()
	all := make([]Status, 0, len(files))
	for _, f := range files {
		all = append(all, f.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// Sum is that of all files since the process began.
func Sum() Totals { return table.sum.totals() }

func (f *File) status() Status {
	t := &f.saver.tally
	s := Status{Path: f.path, Bytes: t.bytes.Load(), Totals: t.totals()}
	if at := t.at.Load(); at != 0 {
		s.Saved = time.Unix(0, at)
	}
	if err := t.err.Load(); err != nil {
		s.Err = *err
	}
	return s
}
