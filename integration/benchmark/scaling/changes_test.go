// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// changers is how many processes the providers that come and go belong to.
const changers = 16

// stay is how long such a provider is there. A consumer that is slower than that
// may never hear of it: it counts as told after that time.
const stay = 2 * time.Second

// changed is what became of a series of changes.
type changed struct {
	asked    int     // changes a second
	done     float64 // changes a second that etcd has taken
	expected int     // times that a consumer had to be told of a provider
	lags     lags    // of those who were
	load
	problem string // what did not go as it should, or nothing
}

// change has providers come and go, so many changes a second for so long, and
// waits until all consumers have been told.
func (s *scene) change(perSecond int, during time.Duration) changed {
	s.t.Helper()
	s.openChangers()
	require.NoError(s.t, s.fleet.resetLags())
	c := changed{asked: perSecond, lags: lags{}}
	var (
		running sync.WaitGroup
		failed  atomic.Pointer[error]
		taken   atomic.Int64
		begin   = time.Now()
		before  moment // when the first providers have gone: from then on they come and go
	)
	pairs := int(float64(perSecond) * (stay + during).Seconds() / 2)
	for k := range pairs {
		at := begin.Add(time.Duration(k) * 2 * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(at))
		if before.at.IsZero() && at.Sub(begin) >= stay {
			before = s.after(&c)
			taken.Store(0)
		}
		b := k % blocks(s.fleet.size)
		c.expected += consumersOf(b, s.fleet.size)
		running.Go(func() {
			if err := s.comeAndGo(s.changers[k%changers], b, changingAddress(s.changes+k), &taken); err != nil {
				failed.Store(&err)
			}
		})
	}
	end := s.after(&c) // at once: there is less to do from now on
	c.done = float64(taken.Load()) / end.at.Sub(before.at).Seconds()
	c.load = end.since(before)
	running.Wait()
	s.changes += pairs
	s.awaitTold(&c)
	if missing := c.expected - c.lags.count(); missing > 0 {
		c.lags.addMany(stay, missing)
	}
	exact := s.fleet.awaitExact(patience)
	switch err := failed.Load(); {
	case err != nil:
		c.problem = (*err).Error()
	case exact != nil:
		c.problem = "when they had gone: " + exact.Error()
	case c.lags.quantile(0.99) > slow:
		c.problem = fmt.Sprintf("a hundredth of the consumers was told after %v or more", slow)
	case c.done < 0.9*float64(perSecond):
		c.problem = fmt.Sprintf("etcd took %.0f changes a second of %d", c.done, perSecond)
	}
	return c
}

// slow is a lag that is a limit.
const slow = time.Second

// patience is how long it may take until all is right again.
const patience = time.Minute

// after is now, with what the fleet has used and been told until then.
func (s *scene) after(c *changed) moment {
	got, err := s.fleet.takeLags() // also its CPU
	require.NoError(s.t, err)
	c.lags.join(got)
	return s.now()
}

// comeAndGo is a provider that stays for a moment. Its consumers know from its
// URL when it came.
func (s *scene) comeAndGo(r registry.Registry, b int, address string, taken *atomic.Int64) error {
	u := provider(b, address, sentKey, strconv.FormatInt(time.Now().UnixNano(), 10))
	if err := r.Register(u); err != nil {
		return err
	}
	taken.Add(1)
	time.Sleep(stay)
	if err := r.UnRegister(u); err != nil {
		return err
	}
	taken.Add(1)
	return nil
}

// awaitTold waits until the consumers have been told of all, or of no more for a
// while.
func (s *scene) awaitTold(c *changed) {
	s.t.Helper()
	last := time.Now()
	testkit.Poll(patience, 100*time.Millisecond, func() bool {
		got, err := s.fleet.takeLags()
		require.NoError(s.t, err)
		if got.count() > 0 {
			last = time.Now()
		}
		c.lags.join(got)
		return c.lags.count() >= c.expected || time.Since(last) >= 5*time.Second
	})
}

func (s *scene) openChangers() {
	s.t.Helper()
	for i := len(s.changers); i < changers; i++ {
		r, err := openRegistry(s.etcd.Endpoints(), 1<<16+i)
		require.NoError(s.t, err)
		s.t.Cleanup(r.Destroy)
		s.changers = append(s.changers, r)
	}
}
