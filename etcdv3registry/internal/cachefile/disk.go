// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/natefinch/atomic"
)

const (
	// maxSize is the largest file that is read, or written: some 200,000 URLs.
	maxSize = 64 << 20
	// leftover is how old a temporary file is before it counts as abandoned.
	leftover = time.Minute
)

var (
	errBusy     = errors.New("another process holds the lock file")
	errNoFile   = errors.New("it is not a regular file")
	errTooLarge = fmt.Errorf("it is larger than %d MiB", maxSize>>20)
)

// read returns what the file has, never nil, and when it was saved. No file is
// no error.
func read(path string) (map[string]string, time.Time, error) {
	entries, saved, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if entries == nil {
		entries = map[string]string{}
	}
	return entries, saved, err
}

func readRegular(path string) (map[string]string, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, errNoFile // opening a pipe would wait
	}
	if info.Size() > maxSize {
		return nil, time.Time{}, errTooLarge
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(data) > maxSize { // it grew meanwhile
		return nil, time.Time{}, errTooLarge
	}
	entries, err := parse(data)
	if err != nil {
		return nil, time.Time{}, err
	}
	return entries, info.ModTime(), nil
}

// save writes what this process has set, and leaves alone what is in the file
// besides. It is called by the saver, one call at a time.
func (f *File) save() (bytes int, err error) {
	if !f.catchUp() {
		return 0, nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return 0, err
	}
	if err := writable(f.path); err != nil {
		return 0, err
	}
	lock := flock.New(f.path + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return 0, fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return 0, errBusy
	}
	defer func() { _ = lock.Unlock() }() // the file descriptor is closed in any case

	// Not under mu: Get and Set do not wait for the disk.
	present, _, damage := read(f.path)
	merged := f.merge(present, damage)
	now := time.Now()
	data, err := encodeBounded(merged, now)
	if err != nil {
		return 0, err
	}
	if !f.swept {
		f.swept = true
		sweep(f.path)
	}
	if err := replace(f.path, data); err != nil {
		return 0, err
	}
	f.adopt(merged, now)
	return len(data), nil
}

// encodeBounded refuses what read would refuse.
func encodeBounded(entries map[string]string, at time.Time) ([]byte, error) {
	size := 0
	for key, value := range entries {
		size += len(key) + len(value) // or more, with escapes
	}
	if size <= maxSize {
		if data := encode(entries, at); len(data) <= maxSize {
			return data, nil
		}
	}
	return nil, errTooLarge
}

// merge returns the file's entries with those of this process in them. Of a
// file that has gone bad meanwhile it takes what was read earlier.
func (f *File) merge(present map[string]string, damage error) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if damage != nil {
		f.tellDamagedLocked(damage)
		return maps.Clone(f.entries)
	}
	for key := range f.own {
		present[key] = f.entries[key]
	}
	return present
}

// adopt takes over what others have saved, except where it changed here.
func (f *File) adopt(merged map[string]string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for key := range f.own {
		saved, known := merged[key]
		changed = changed || !known || saved != f.entries[key]
		merged[key] = f.entries[key]
	}
	f.entries, f.saved, f.damaged = merged, at, false
	f.changed = changed
}

// writable reports why nothing is written to a path: there is something that is no
// file (/dev/null, say), or a link that leads out of its directory, which somebody
// else may have put there to have another file replaced.
func writable(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return nil // it is to be made
		}
	}
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	if filepath.Dir(target) != dir {
		return fmt.Errorf("%s is a link out of its directory, to %s: name that file itself, with the parameter file", path, target)
	}
	if info, err := os.Stat(target); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, errNoFile)
	}
	return nil
}

// replace writes a file so that whoever reads it, or finds it after a crash,
// sees the old or the new content, whole. Only the owner can read it: URLs may
// hold tokens.
func replace(path string, data []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link stays
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = atomic.ReplaceFile(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}

// sweep removes the temporary files of processes that were killed while they
// saved.
func sweep(path string) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	siblings, _ := os.ReadDir(filepath.Dir(path))
	for _, s := range siblings {
		if !strings.HasPrefix(s.Name(), filepath.Base(path)+".") || !strings.HasSuffix(s.Name(), ".tmp") {
			continue
		}
		if info, err := s.Info(); err == nil && time.Since(info.ModTime()) > leftover {
			_ = os.Remove(filepath.Join(filepath.Dir(path), s.Name()))
		}
	}
}
