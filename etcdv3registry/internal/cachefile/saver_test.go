// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeDisk counts saves and fails as it is told. Its clock is synctest's.
type fakeDisk struct {
	err   atomic.Pointer[error]
	saves atomic.Int32
	takes time.Duration   // each
	bytes int             // of each
	at    []time.Duration // since begun
	begun time.Time
}

func (d *fakeDisk) fail(err error) { d.err.Store(&err) }

func newFakeDisk(t *testing.T, delay time.Duration) (*fakeDisk, *saver) {
	d := &fakeDisk{begun: time.Now()}
	d.fail(nil)
	s := newSaver(newPath(t), func() (int, error) {
		d.saves.Add(1)
		d.at = append(d.at, time.Since(d.begun))
		time.Sleep(d.takes)
		return d.bytes, *d.err.Load()
	})
	s.open(delay)
	return d, s
}

// pass lets time go by, and what is due in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestChangesAreSavedTogetherAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		for range 100 {
			s.changed(false)
		}
		pass(DefaultDelay - 1)
		require.Zero(t, d.saves.Load())
		pass(time.Hour)
		require.Equal(t, []time.Duration{DefaultDelay}, d.at)
		require.Nil(t, s.timer, "there is nothing to do")
	})
}

func TestASteadyStreamOfChangesIsSavedAllTheWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		for range 1000 { // for ten seconds
			s.changed(false)
			pass(10 * time.Millisecond)
		}
		pass(time.Hour)
		require.InDelta(t, 20, d.saves.Load(), 2)
		require.False(t, s.pending)
	})
}

// A fleet that is large changes all the time.
func TestWhatIsLargeIsSavedAsOftenAsItMayCost(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		bytes int
		every time.Duration
	}{
		"small":           {time.Millisecond, 1000, DefaultDelay},
		"slow":            {300 * time.Millisecond, 1000, 30 * time.Second},
		"large":           {time.Millisecond, 20 << 20, 20 * time.Second},
		"larger than any": {time.Hour / 60, 1 << 30, maxRest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := newFakeDisk(t, DefaultDelay)
				d.takes, d.bytes = c.takes, c.bytes
				for range 20 * 60 { // for twenty minutes
					s.changed(false)
					pass(time.Second)
				}
				require.Equal(t, DefaultDelay, d.at[0], "the first one is not delayed")
				for i := range len(d.at) - 1 {
					require.GreaterOrEqual(t, d.at[i+1]-d.at[i], c.every)
					require.Less(t, d.at[i+1]-d.at[i], c.every+c.takes+2*time.Second)
				}
				before := d.saves.Load()
				s.changed(false)
				s.close()
				s.flush()
				require.Equal(t, before+1, d.saves.Load(), "on the way out it is saved at once")
			})
		})
	}
}

func TestAFailedSaveIsTriedAgainEveryFiveSecondsAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		d.fail(errors.New("no space left on device"))
		s.changed(false)
		pass(24 * time.Hour)
		require.EqualValues(t, maxRetries+1, d.saves.Load())
		for i := 1; i < len(d.at); i++ {
			pause := d.at[i] - d.at[i-1]
			require.True(t, pause >= DefaultDelay && pause <= 5*time.Second, "pause %d: %v", i, pause)
		}
		require.Nil(t, s.timer, "there is nothing to do")
		require.Len(t, logs.about("WARN", s.path), 1)

		d.fail(nil)
		s.changed(true)
		pass(5 * time.Second)
		require.EqualValues(t, maxRetries+2, d.saves.Load(), "after the next change")
		require.Len(t, logs.about("WARN", s.path), 1)
		require.Len(t, logs.about("INFO", s.path), 1)
		require.Contains(t, logs.about("INFO", s.path)[0], "saved again")

		d.fail(errors.New("no space left on device"))
		s.changed(true)
		require.Len(t, logs.about("WARN", s.path), 2, "a second run of failures")
		s.close()
		s.flush()
		require.Len(t, logs.about("WARN", s.path), 2)
	})
}

func TestChangesDoNotHurryRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		d.fail(errors.New("read-only file system"))
		for range 6000 { // for a minute
			s.changed(true)
			pass(10 * time.Millisecond)
		}
		require.LessOrEqual(t, d.saves.Load(), int32(20))
		require.Greater(t, d.saves.Load(), int32(10))
		s.close()
		s.flush()
	})
}

func TestAHeldLockIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		d.fail(errBusy)
		s.changed(true)
		require.EqualValues(t, 1, d.saves.Load(), "Set does not wait for the lock")
		pass(time.Second)
		require.Greater(t, d.saves.Load(), int32(15))
		d.fail(nil)
		pass(DefaultDelay / 10)
		require.False(t, s.pending)
		require.Nil(t, s.timer)
		require.Empty(t, logs.about("WARN", s.path), "a lock held for a second is no failure")
		require.Empty(t, logs.about("INFO", s.path))
	})
}

func TestALockHeldForLongIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		d.fail(errBusy)
		s.changed(false)
		pass(24 * time.Hour)
		require.Nil(t, s.timer, "there is nothing to do")
		require.Len(t, logs.about("WARN", s.path), 1)
		require.Less(t, d.saves.Load(), int32(200))
	})
}

func TestClosingWaitsTwoSecondsForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		d.fail(errBusy)
		s.changed(false)
		begun := time.Now()
		s.close()
		s.flush()
		require.WithinRange(t, time.Now(), begun.Add(2*time.Second), begun.Add(2100*time.Millisecond))
		require.Len(t, logs.about("WARN", s.path), 1)
		require.Nil(t, s.timer)
	})
}

func TestAChangeWhileSavingIsSavedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		counted := s.save
		s.save = func() (int, error) {
			if d.saves.Load() == 0 {
				s.mu.Lock()
				s.pending = true // as changed does
				s.mu.Unlock()
			}
			return counted()
		}
		s.changed(false)
		pass(time.Hour)
		require.Equal(t, []time.Duration{DefaultDelay, 2 * DefaultDelay}, d.at)
	})
}

func TestTheShortestDelayHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newFakeDisk(t, DefaultDelay)
		s.open(time.Second)
		s.open(time.Millisecond)
		s.changed(false)
		pass(time.Hour)
		require.Equal(t, []time.Duration{time.Millisecond}, d.at)
	})
}
