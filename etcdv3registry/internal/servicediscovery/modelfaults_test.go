// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"slices"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// longest is how long etcd takes to answer, if it does.
const longest = 900 * time.Millisecond

func (h *history) goesAway() {
	if h.away {
		return
	}
	h.away, h.stopped = true, h.next(2) == 1
	h.do("etcd goes away, leases run on: %v", !h.stopped)
	if h.stopped {
		h.e.Stop()
	} else {
		h.e.Away(true)
	}
}

func (h *history) comesBack() {
	h.do("etcd is back")
	h.away = false
	h.reach()
}

// isWiped has etcd be another store, which is found out as soon as something comes
// over new streams. What came over those before has been read by then.
func (h *history) isWiped() {
	if h.delays || time.Since(h.mended) < longest {
		time.Sleep(longest)
	}
	synctest.Wait()
	h.do("etcd is wiped")
	h.mended = time.Now()
	h.e.Wipe()
	h.heard()
	time.AfterFunc(2*time.Second, h.heard)
}

func (h *history) isCompacted() {
	h.do("etcd is compacted, the watches end")
	h.e.Compact()
	h.e.EndWatches()
}

func (h *history) refuses() {
	h.refusing = []error{nil, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCAuthFailed, etcdfake.ErrAway}[h.next(4)]
	h.do("who reads is answered: %v", h.refusing)
	h.mended = time.Now()
	h.fail()
}

func (h *history) standsStill() {
	if h.hold != nil {
		h.do("etcd answers")
		h.unhold()
		return
	}
	if h.next(2) == 0 {
		h.do("etcd stands still")
		h.hold = make(chan struct{})
		h.e.Set(func(e *etcdfake.Etcd) { e.Hold = h.hold })
		return
	}
	delay := time.Duration(h.next(4)) * longest / 3
	h.do("etcd takes %v", delay)
	h.delays, h.mended = delay > 0, time.Now()
	h.e.Set(func(e *etcdfake.Etcd) { e.Delay = func(int) time.Duration { return delay } })
}

func (h *history) unhold() {
	h.mended = time.Now()
	if h.hold != nil {
		h.e.Set(func(e *etcdfake.Etcd) { e.Hold = nil })
		close(h.hold)
		h.hold = nil
	}
}

// reach has etcd be reached, if it is not away.
func (h *history) reach() {
	h.mended = time.Now()
	if h.stopped {
		h.e.Start()
	} else {
		h.e.Away(false)
	}
	h.stopped = false
	h.fail()
	h.heard()
}

// fail has etcd answer as it is to.
func (h *history) fail() {
	if h.away {
		return
	}
	refusing := h.refusing
	h.e.Set(func(e *etcdfake.Etcd) {
		e.Fail = func(method string, _ []string) error {
			if method == "Range" || method == "Watch" {
				return refusing
			}
			return nil
		}
	})
}

// heard has those who use etcd hear of it over new streams.
func (h *history) heard() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range slices.Concat(h.users, h.owners) {
		if c, err := d.user.Get(); err == nil {
			c.Watches.Check()
			c.Watches.Retry()
			c.Desired.Resync()
		}
	}
}
