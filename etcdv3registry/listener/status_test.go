// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

func TestTheStatusSaysWhatIsMirroredAndHowItsReadersAreDoing(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		assert.Equal(t, Status{}, h.Status())
		e.Away(true)
		began := time.Now()
		f := h.Open("/a/", "/b/")
		defer f.Close()
		require.Eventually(t, func() bool { return h.Status().Mirrors[0].Err != nil && h.Status().Mirrors[1].Err != nil }, time.Second, time.Millisecond)
		s := h.Status()
		require.Len(t, s.Mirrors, 2)
		assert.Equal(t, []string{"/a/", "/b/"}, []string{s.Mirrors[0].Prefix, s.Mirrors[1].Prefix})
		assert.False(t, s.Mirrors[0].Listed)
		assert.False(t, s.Mirrors[0].StaleSince.IsZero())
		require.ErrorContains(t, s.Mirrors[0].Err, "connection refused")
		require.Len(t, s.Readers, 1)
		assert.Equal(t, []string{"/a/", "/b/"}, s.Readers[0].Prefixes)
		assert.False(t, s.Readers[0].Listed)

		e.Put("/a/1", "one")
		e.Away(false)
		require.Eventually(t, func() bool { return h.Status().Mirrors[0].Listed && h.Status().Mirrors[1].Listed }, time.Minute, time.Millisecond)
		synctest.Wait()
		s = h.Status()
		a := s.Mirrors[0]
		require.NoError(t, a.Err)
		assert.Zero(t, a.StaleSince)
		assert.Equal(t, []int64{1, 4 + 3, e.Revision(), 1}, []int64{int64(a.Keys), a.Bytes, a.Revision, int64(a.Readers)})
		assert.True(t, a.LastChange.After(began))
		assert.Equal(t, 1, s.Readers[0].Pending)
		assert.True(t, s.Readers[0].Listed)
		f.Take()
		assert.Zero(t, h.Status().Readers[0].Pending)

		e.Put("/a/2", "")
		synctest.Wait()
		assert.True(t, h.Status().Mirrors[0].LastChange.Equal(time.Now()))
		f.Close()
		assert.Empty(t, h.Status().Mirrors)
	})
}

func TestTheStatusSaysWhyAMirrorWasReadAnew(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		defer h.Open("/a/").Close()
		e.Put("/a/1", "")
		synctest.Wait()
		assert.Empty(t, h.Status().Relists, "the first time is none")

		e.Wipe()
		h.Check()
		require.Eventually(t, func() bool { // it was read, and what the other store had is given up
			s := h.Status()
			return s.Relists[reasonOtherHistory] > 0 && s.Mirrors[0].Retained == 0 && s.Mirrors[0].Keys == 0
		}, time.Minute, time.Millisecond)
		s := h.Status()
		assert.Equal(t, map[string]uint64{reasonOtherHistory: 1}, s.Relists)
		assert.EqualValues(t, 1, s.OtherHistories)

		e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return etcdfake.ErrAway } })
		e.EndWatches()
		e.Put("/a/2", "")
		e.Put("/a/2", "")
		e.Compact()
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		require.Eventually(t, func() bool { return h.Status().Relists[reasonCompacted] > 0 }, time.Minute, time.Millisecond)
		assert.Equal(t, map[string]uint64{reasonOtherHistory: 1, reasonCompacted: 1}, h.Status().Relists)
	})
}

func TestTheStatusSaysThatThereIsMoreThanIsMirrored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, MaxKeys: 10})
		defer h.Close()
		for i := range 12 {
			e.Put(fmt.Sprintf("/a/%02d", i), "")
		}
		defer h.Open("/a/").Close()
		require.Eventually(t, func() bool { return h.Status().Mirrors[0].Partial }, time.Second, time.Millisecond)
		for i := range 8 {
			e.Delete(fmt.Sprintf("/a/%02d", i))
		}
		require.Eventually(t, func() bool { return !h.Status().Mirrors[0].Partial }, time.Minute, time.Millisecond)
		assert.NotZero(t, h.Status().Relists[reasonLimits])
	})
}

func TestTheLagIsFromTheFirstChangeThatWasReceivedUntilTheListenerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		var lags []time.Duration
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, Lag: func(d time.Duration) { lags = append(lags, d) }})
		defer h.Close()
		e.Put("/a/0", "")
		s := h.Subscribe([]string{"/a/"}, View{
			Read: func(key string) (*common.URL, error) { return common.NewURL("tri://10.0.0.1:20000/" + key[3:]) },
			ID:   func(key string, _ *common.URL) string { return key },
		}, slowly{})
		defer s.Close()
		s.Start(time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, lags, "what was there is no change")
		e.Put("/a/1", "") // takes a second
		time.Sleep(100 * time.Millisecond)
		e.Put("/a/2", "") // and these wait
		time.Sleep(500 * time.Millisecond)
		e.Put("/a/3", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []time.Duration{time.Second, 900*time.Millisecond + 2*time.Second}, lags)
	})
}

// slowly is a listener that takes a second for each call.
type slowly struct{}

func (slowly) Notify(*registry.ServiceEvent) { time.Sleep(time.Second) }
func (slowly) NotifyAll(_ []*registry.ServiceEvent, done func()) {
	time.Sleep(time.Second)
	done()
}

// It is asked for at any time, by anybody.
func TestTheStatusIsASnapshotWhileEverythingChanges(t *testing.T) {
	e := etcdfake.New()
	h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, Lag: func(time.Duration) {}})
	defer h.Close()
	refuse := errors.New("refused")
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for {
				for _, r := range h.Status().Readers {
					assert.NotEmpty(t, r.Prefixes)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		prefix := fmt.Sprintf("/%d/", i%5)
		f := h.Open(prefix, "/x/")
		e.Put(prefix+"key", "")
		if i%10 == 0 {
			e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return rpctypes.ErrPermissionDenied } })
			_ = f.Ready(t.Context())
			e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		} else if i%3 == 0 {
			require.NoError(t, f.Ready(t.Context()))
			f.Take()
			f.Told()
			f.Skip(prefix+"key", refuse)
		}
		f.Close()
	}
	close(done)
	asking.Wait()
}
