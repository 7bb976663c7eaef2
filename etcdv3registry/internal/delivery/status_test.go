// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// attended is a feed that wants to know how its reader is doing.
type attended struct {
	*source
	status func() Status
	told   int
}

func (a *attended) Attend(status func() Status) { a.status = status }
func (a *attended) Told()                       { a.told++ }

func TestAFeedKnowsHowItsReaderIsDoing(t *testing.T) {
	inTime(t, func(t *testing.T) {
		feed := &attended{source: newSource(t)}
		hold := make(chan struct{})
		w := NewWorker(feed, Reader{Name: "the test", Update: func() { <-hold }, Again: func() {}, Retry: retry.NTimes(1, time.Hour)})
		assert.Equal(t, Status{Name: "the test"}, feed.status())

		w.Start(time.Hour)
		feed.change()
		synctest.Wait()
		began := time.Now()
		time.Sleep(time.Minute)
		s := feed.status()
		assert.True(t, s.Telling.Equal(began), "%v", s)
		assert.Zero(t, s.Told)
		assert.Zero(t, feed.told)

		close(hold)
		synctest.Wait()
		s = feed.status()
		assert.Zero(t, s.Telling)
		assert.True(t, s.Told.Equal(began.Add(time.Minute)), "%v", s)
		assert.Equal(t, 1, feed.told)

		w.Lacks(true)
		assert.True(t, w.Status().Lacking)
		w.Lacks(false)
		assert.False(t, w.Status().Lacking)
		w.Again()
		synctest.Wait()
		assert.Equal(t, 1, feed.told, "that is nothing new")
		w.Close()
	})
}

func TestAReaderThatPanicsIsNotTakenForOneThatStillRuns(t *testing.T) {
	inTime(t, func(t *testing.T) {
		w := NewWorker(newSource(t), Reader{Name: "the test", Update: func() { panic("over it") }})
		w.Update()
		assert.Zero(t, w.Status().Telling)
		assert.NotZero(t, w.Status().Told)
		w.Close()
	})
}
