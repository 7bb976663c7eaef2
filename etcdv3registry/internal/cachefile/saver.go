// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dubbogo/gost/log/logger"
)

const (
	// maxFactor, times the delay, is the longest pause between attempts, and
	// how long another process may hold the lock before that is a failure.
	maxFactor = 10
	// maxRetries is how often a save is tried again after the last change.
	maxRetries = 20
	// maxClosing is how long closing waits for another process that saves.
	maxClosing = 2 * time.Second
	// A save costs by the size of the file, and a large fleet never stops to change:
	// one follows another not before it has cost at most a share of the time, and
	// written so much a second. What is not saved yet is on the way out.
	share     = 100 // one in so many
	perSecond = 1 << 20
	maxRest   = 5 * time.Minute
)

// saver decides when a file is saved.
type saver struct {
	path   string
	save   func() (bytes int, err error) // saves all that has changed; errBusy: not now
	saving sync.Mutex                    // held while save runs
	tally  tally

	mu        sync.Mutex
	delay     time.Duration
	closed    bool
	pending   bool        // something has changed since the last successful save began
	timer     *time.Timer // of the next attempt, until that is over; nil: there is none
	failures  int         // attempts that failed since one worked
	retries   int         // attempts that failed since the last change
	busySince time.Time   // of another process; zero: it is not
	rested    time.Time   // when the last save has cost no more than it may
}

func newSaver(path string, save func() (bytes int, err error)) *saver {
	return &saver{path: path, save: save, closed: true}
}

// open allows changes, and shortens the delay.
func (s *saver) open(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || delay < s.delay {
		s.delay = delay
	}
	s.closed = false
}

// close ends changes: no attempt is planned any more. Flush does the rest.
func (s *saver) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *saver) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// changed has the file saved: after the delay, or before it returns.
func (s *saver) changed(now bool) {
	s.mu.Lock()
	s.pending, s.retries = true, 0
	now = now && !s.closed && s.failures == 0
	s.mu.Unlock()
	if now {
		_ = s.attempt()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planLocked()
}

// planLocked plans the next attempt, if there is to be one.
func (s *saver) planLocked() {
	if s.pending && !s.closed && s.timer == nil && s.retries <= maxRetries {
		s.timer = time.AfterFunc(s.pauseLocked(), s.due)
	}
}

func (s *saver) due() {
	if !s.isClosed() {
		_ = s.attempt() // told by settleLocked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	s.planLocked()
}

// pauseLocked is how long to wait before the next attempt.
func (s *saver) pauseLocked() time.Duration {
	switch {
	case s.failures > 0:
		return jitter(s.delay * time.Duration(min(1<<min(s.failures, 8), maxFactor)))
	case !s.busySince.IsZero():
		return jitter(s.delay / maxFactor)
	default:
		return max(s.delay, time.Until(s.rested))
	}
}

// rest is how long after a save the next one begins at the earliest.
func rest(took time.Duration, bytes int) time.Duration {
	return min(maxRest, max(share*took, time.Duration(bytes)*time.Second/perSecond))
}

// jitter keeps processes from trying in step: from three quarters of d to d.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/4+1)
}

// attempt saves, if there is something to save.
func (s *saver) attempt() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	if !s.pending {
		s.mu.Unlock()
		return nil
	}
	s.pending = false
	s.mu.Unlock()

	begun := time.Now()
	bytes, err := s.save()
	s.tally.attempted(bytes, err)
	table.sum.attempted(bytes, err)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.rested = time.Now().Add(rest(time.Since(begun), bytes))
	s.settleLocked(err)
	return err
}

// settleLocked notes how an attempt went, and tells when that changes.
func (s *saver) settleLocked(err error) {
	if err == nil {
		if s.failures > 0 {
			logger.Infof("[etcdv3] cache file %s is saved again", s.path)
		}
		s.failures, s.retries, s.busySince = 0, 0, time.Time{}
		return
	}
	s.pending = true
	switch {
	case !errors.Is(err, errBusy):
		s.busySince = time.Time{}
	case s.busySince.IsZero():
		s.busySince = time.Now()
		return
	case time.Since(s.busySince) < maxFactor*s.delay:
		return
	}
	s.retries++
	if s.failures++; s.failures == 1 {
		logger.Warnf("[etcdv3] cache file %s cannot be saved: %v", s.path, err)
	}
}

// flush saves what is pending, once close was called.
func (s *saver) flush() {
	s.mu.Lock()
	if s.timer != nil && s.timer.Stop() { // else it is due just now
		s.timer = nil
	}
	s.mu.Unlock()
	for begun := time.Now(); ; time.Sleep(jitter(maxClosing / 200)) {
		err := s.attempt()
		if !errors.Is(err, errBusy) { // nil, or told
			return
		}
		if time.Since(begun) >= maxClosing {
			logger.Warnf("[etcdv3] cache file %s is closed without the last changes: %v", s.path, err)
			return
		}
	}
}
