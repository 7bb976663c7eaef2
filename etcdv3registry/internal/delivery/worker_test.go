// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// source is a Feed.
type source struct {
	ctx     context.Context
	cancel  context.CancelFunc
	change  func()
	running sync.WaitGroup
}

func newSource(t *testing.T) *source {
	s := &source{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	t.Cleanup(func() {
		s.cancel()
		s.running.Wait()
	})
	return s
}

func (s *source) OnChange(f func()) { s.change = f }

func (s *source) Context() context.Context { return s.ctx }

func (s *source) Hold() (release func(), ok bool) {
	if s.ctx.Err() != nil {
		return nil, false
	}
	s.running.Add(1)
	return s.running.Done, true
}

func (s *source) Close() { s.cancel() }

// reading is a reader that notes what it has been asked to do.
type reading struct {
	*Worker
	from *source

	mu   sync.Mutex // guards what follows
	does func()     // while it tells, unless nil
	has  bool       // there is something cached
	done []string
}

// read makes a worker; change says what else its reader is.
func read(t *testing.T, change func(*Reader)) *reading {
	r := &reading{from: newSource(t), has: true}
	do := func(what string) {
		r.mu.Lock()
		r.done = append(r.done, what)
		does := r.does
		r.mu.Unlock()
		if does != nil {
			does()
		}
	}
	reader := Reader{
		Name: "the test", Update: func() { do("update") }, Again: func() { do("again") },
		Cached: func() bool {
			r.mu.Lock()
			has := r.has
			r.mu.Unlock()
			if has {
				do("cached")
			}
			return has
		},
	}
	if change != nil {
		change(&reader)
	}
	r.Worker = NewWorker(r.from, reader)
	return r
}

// will says what it does when it tells, from now on.
func (r *reading) will(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.does = do
}

// lack has the listener lack something, or not, whatever it is told.
func (r *reading) lack(something bool) { r.will(func() { r.Lacks(something) }) }

// since returns what was done since it was called last.
func (r *reading) since() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	return done
}

// inTime is a test in time that passes by itself.
func inTime(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestWorkerTellsWhatChangesUntilItIsClosed(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, nil)
		r.from.change()
		assert.Empty(t, r.since(), "it was not started")
		r.Start(time.Second)
		r.Start(time.Second)
		assert.Equal(t, []string{"update"}, r.since())
		r.Again()
		assert.Equal(t, []string{"again"}, r.since())
		r.Update()
		assert.Equal(t, []string{"update"}, r.since())
		time.Sleep(time.Hour)
		assert.Empty(t, r.since())
		r.Close()
		r.Close()
		assert.True(t, r.Closed())
		r.from.change()
		r.Again()
		r.Update()
		assert.False(t, r.Cached())
		r.Start(0)
		assert.Empty(t, r.since())
	})
}

func TestCacheIsToldOnceAfterPatienceUnlessSomethingElseWas(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, nil)
		r.Start(time.Second)
		r.Again()
		assert.Empty(t, r.since(), "there is nothing to tell again")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"cached"}, r.since())
		assert.False(t, r.Cached())
		r.from.change()
		assert.Equal(t, []string{"update"}, r.since())
		assert.False(t, r.Cached())

		early := read(t, nil)
		early.has = false
		assert.False(t, early.Cached(), "it has nothing")
		early.has = true
		early.from.change()
		early.Start(time.Second)
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"update"}, early.since())

		without := read(t, func(r *Reader) { r.Cached = nil })
		without.Start(0)
		time.Sleep(time.Hour)
		assert.Empty(t, without.since())
	})
}

func TestListenerThatLacksSomethingIsToldAgainMoreAndMoreRarely(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, func(r *Reader) { r.Retry = retry.NTimes(3, time.Second) })
		r.lack(true)
		r.Start(time.Minute)
		r.from.change()
		time.Sleep(1500 * time.Millisecond)
		assert.Equal(t, []string{"update", "again"}, r.since())
		r.from.change() // puts the next time off
		time.Sleep(900 * time.Millisecond)
		assert.Equal(t, []string{"update"}, r.since())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"again"}, r.since(), "until the schedule ends")

		r.lack(false)
		r.from.change()
		r.since()
		r.lack(true) // the schedule begins anew
		r.from.change()
		time.Sleep(1500 * time.Millisecond)
		assert.Equal(t, []string{"update", "again"}, r.since())
		r.lack(false)
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"again"}, r.since())
	})
}

func TestWhatHasNothingToTellPutsNoRetryOff(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, func(r *Reader) {
			r.Retry = retry.PolicyFunc(func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) })
		})
		r.lack(true)
		r.Start(time.Minute)
		r.from.change()
		assert.Equal(t, []string{"update"}, r.since())
		time.Sleep(900 * time.Millisecond)
		r.will(nil)
		r.from.change()
		assert.Equal(t, []string{"update"}, r.since())
		time.Sleep(200 * time.Millisecond)
		assert.Equal(t, []string{"again"}, r.since())
	})
}

func TestWhoCannotBeToldAgainIsNot(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, func(r *Reader) { r.Again = nil })
		r.Start(0)
		r.from.change()
		r.since()
		r.Again()
		assert.Empty(t, r.since())
	})
}

func TestWhatIsAskedForDuringACallIsDoneOnceAfterIt(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, nil)
		busy := make(chan struct{})
		r.will(func() { <-busy })
		r.Start(time.Hour)
		r.from.change()
		synctest.Wait()
		for range 3 {
			r.Again()
			r.from.change()
		}
		assert.Equal(t, []string{"update"}, r.since(), "one at a time")
		close(busy)
		assert.ElementsMatch(t, []string{"update", "again"}, r.since())
	})
}

func TestReaderThatPanicsGoesOnAndHasTold(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := read(t, nil)
		r.will(func() { panic("a fault") })
		r.Start(time.Minute)
		r.from.change()
		assert.Equal(t, []string{"update"}, r.since())
		r.will(nil)
		r.Again()
		assert.Equal(t, []string{"again"}, r.since())
		assert.False(t, r.Cached())
	})
}

func TestCloseFromInsideACallDoesNotWait(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, other := read(t, nil), read(t, nil)
		busy := make(chan struct{})
		r.will(func() { <-busy })
		r.Start(time.Hour)
		r.from.change()
		synctest.Wait()
		other.will(r.Close)
		other.Update()
		assert.True(t, r.Closed())
		close(busy)
		r.from.running.Wait()

		itself := read(t, nil)
		itself.will(itself.Close)
		itself.Start(time.Hour)
		itself.from.change()
		itself.from.running.Wait()
		assert.Equal(t, []string{"update"}, itself.since())
	})
}

// It is not in a time of its own, in which nothing waits for a mutex.
func TestCloseWaitsForTheCallThatIsUnderWay(t *testing.T) {
	r := read(t, nil)
	begun, busy, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r.will(func() {
		close(begun)
		<-busy
	})
	r.Start(time.Hour)
	r.from.change()
	<-begun
	go func() {
		defer close(closed)
		r.Close()
	}()
	select {
	case <-closed:
		t.Error("it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(busy)
	<-closed
	r.from.running.Wait()
}
