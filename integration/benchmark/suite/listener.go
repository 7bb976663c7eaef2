// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"net/netip"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
)

// listener knows the addresses of providers, at four bytes each, so that what it
// keeps does not count for much beside what a registry keeps.
type listener struct {
	lists bool // a list of a subscription is all there is; unset where several share the listener

	mu    sync.Mutex // guards all below
	known map[uint32]struct{}
	until func() bool // unless nil, somebody waits for it
	when  chan time.Time
}

func newListener() *listener { return &listener{lists: true, known: map[uint32]struct{}{}} }

// newShared returns one for several subscriptions.
func newShared() *listener { return &listener{known: map[uint32]struct{}{}} }

func host(u *common.URL) uint32 {
	ip, err := netip.ParseAddr(u.Ip)
	if err != nil {
		return 0
	}
	b := ip.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func (l *listener) Notify(e *registry.ServiceEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(e)
	l.look()
}

func (l *listener) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lists {
		clear(l.known)
	}
	for _, e := range events {
		l.take(e)
	}
	l.look()
}

// take is called with l.mu held, as is look.
func (l *listener) take(e *registry.ServiceEvent) {
	if e.Action == remoting.EventTypeDel {
		delete(l.known, host(e.Service))
	} else {
		l.known[host(e.Service)] = struct{}{}
	}
}

func (l *listener) look() {
	if l.until != nil && l.until() {
		l.when <- time.Now()
		l.until = nil
	}
}

// expect returns a channel that is sent the time from which on a condition
// holds. The condition is looked at with the listener locked.
func (l *listener) expect(condition func() bool) <-chan time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until, l.when = condition, make(chan time.Time, 1)
	l.look()
	return l.when
}

// expectCount expects that n providers are known, and expectHost that one is or
// is not.
func (l *listener) expectCount(n int) <-chan time.Time {
	return l.expect(func() bool { return len(l.known) == n })
}

func (l *listener) expectHost(u *common.URL, known bool) <-chan time.Time {
	h := host(u)
	return l.expect(func() bool {
		_, ok := l.known[h]
		return ok == known
	})
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.known)
}
