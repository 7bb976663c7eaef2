// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"
)

// A View says what the keys under a prefix mean to one subscription. Its
// functions are called from the subscription's goroutine only.
type View struct {
	// Read returns the URL that the key stands for, made for this call: the
	// listener may change it. It returns nil for a key that the subscription is
	// not about, and an error for one that cannot be read, which is skipped with
	// one warning.
	Read func(key string) (*common.URL, error)
	// ID tells which keys stand for the same thing, one of them being a later
	// version of the other: the listener is told of the one created last. The
	// listener sees the ID as the key of its events.
	ID func(key string, u *common.URL) string
}

// Subscription delivers what a feed has to one framework listener, serially.
// It is made by Hub.Subscribe.
type Subscription struct {
	hub      *Hub
	feed     *Feed
	view     View
	listener registry.NotifyListener

	start  sync.Once
	end    sync.Once
	stop   chan struct{} // closed by Close
	closed atomic.Bool   // set by Close: the listener is not called any more

	delivery sync.Mutex // held while the listener is told; guards what follows
	told     bool       // a first delivery has been made
	things   map[string]thing
}

// Subscribe opens the prefix for a listener. Nothing is delivered before Load
// or Start.
func (h *Hub) Subscribe(prefix string, view View, l registry.NotifyListener) *Subscription {
	return &Subscription{
		hub:      h,
		feed:     h.Open(prefix),
		view:     view,
		listener: l,
		stop:     make(chan struct{}),
		things:   map[string]thing{},
	}
}

// Load waits until etcd has been read, and delivers what is there before it
// returns, on the caller's goroutine. Errors are those of Feed.Ready.
func (s *Subscription) Load(ctx context.Context) error {
	if err := s.feed.Ready(ctx); err != nil {
		return err
	}
	s.deliver()
	return nil
}

// Start delivers in the background from now on, until Close: what there is,
// unless Load has delivered it already, and then every change. Further calls do
// nothing.
func (s *Subscription) Start() {
	s.start.Do(func() {
		s.hub.goUntilClose(func() {
			for {
				select {
				case <-s.feed.Changed():
					s.deliver()
				case <-s.stop:
					return
				case <-s.hub.ctx.Done():
					return
				}
			}
		})
	})
}

// Close ends the subscription: once it has returned the listener is not told
// anything any more. It waits for a call of the listener that is under way,
// unless it is called from inside a delivery, to this listener or another:
// waiting there might never end. It may be called more than once.
func (s *Subscription) Close() {
	s.end.Do(func() {
		s.closed.Store(true)
		close(s.stop)
		s.feed.Close()
	})
	if !insideDelivery() {
		s.delivery.Lock()
		defer s.delivery.Unlock()
		s.things = nil
	}
}

// deliver tells the listener what changed since the last delivery.
func (s *Subscription) deliver() {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	if s.closed.Load() {
		return
	}
	events, urls := s.digest(s.feed.Take())
	first := !s.told
	s.told = true
	if (first || len(events) > notifyAllAbove) && s.notifyAll(urls) {
		return
	}
	for _, e := range events {
		s.notify(e)
	}
}

// notifyAll tells the listener the complete list. It reports false if the
// listener panicked: told one by one, it panics over the culprit only.
func (s *Subscription) notifyAll(urls map[string]*common.URL) bool {
	events := make([]*registry.ServiceEvent, 0, len(s.things))
	for id, t := range s.things {
		u := urls[t.told]
		if u == nil {
			u = s.read(t.told)
		}
		if u != nil {
			events = append(events, event(remoting.EventTypeAdd, id, u))
		}
	}
	return s.call("the list", func() { s.listener.NotifyAll(events, func() {}) })
}

func (s *Subscription) notify(e *registry.ServiceEvent) {
	if !s.closed.Load() {
		s.call(e.Key(), func() { s.listener.Notify(e) })
	}
}

// call is in the stack of every call of a listener: insideDelivery looks for it.
//
//go:noinline
func (s *Subscription) call(what string, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			logger.Errorf("[etcdv3] a listener of %s panicked over %s, going on: %v\n%s", s.feed.store.prefix, what, r, debug.Stack())
		}
	}()
	f()
	return true
}

// insideDelivery reports whether the calling goroutine was called by a
// listener that is being told something.
func insideDelivery() bool {
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "listener.(*Subscription).call") {
			return true
		}
		if !more {
			return false
		}
	}
}
