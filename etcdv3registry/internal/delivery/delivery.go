// SPDX-License-Identifier: Apache-2.0

// Package delivery calls the framework's listeners: one call at a time for each,
// none after it was dropped, and none that takes the process down. A Worker does
// so in the background, for as long as there is something to tell.
package delivery

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// Serial is the calls of one listener. The zero value is ready.
type Serial struct {
	calls  sync.Mutex // held during a call
	closed atomic.Bool
}

// Do is Call after the calls before it have returned, unless Close was called.
func (s *Serial) Do(listener, what string, f func()) {
	s.calls.Lock()
	defer s.calls.Unlock()
	if !s.closed.Load() {
		Call(listener, what, f)
	}
}

// Close has nothing called any more once it has returned. It waits for a call
// that is under way, unless it is called from inside one, to this listener or
// another: waiting there might never end. It may be called more than once.
func (s *Serial) Close() {
	s.closed.Store(true)
	if !Inside() {
		s.calls.Lock()
		defer s.calls.Unlock()
	}
}

// Closed reports whether Close was called.
func (s *Serial) Closed() bool { return s.closed.Load() }

// Call calls f, which tells a listener something, and reports whether it
// returned. A panic is logged: a listener of listener panicked over what.
//
// It is in the stack of every call of a listener: Inside looks for it.
//
//go:noinline
func Call(listener, what string, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			logger.Errorf("[etcdv3] a listener of %s panicked over %s, going on: %s\n%s", listener, sane.Show(what), sane.Show(fmt.Sprint(r)), debug.Stack())
		}
	}()
	f()
	return true
}

// Event is what a listener of the framework is told of a URL. Its key is id whatever
// becomes of the URL: the framework's directory merges the consumer's parameters and
// overrides into it, and must find the invoker again when the provider goes.
func Event(action remoting.EventType, id string, u *common.URL) *registry.ServiceEvent {
	return &registry.ServiceEvent{Action: action, Service: u, KeyFunc: func(*common.URL) string { return id }}
}

// Inside reports whether the calling goroutine was called by a listener that is
// being told something.
func Inside() bool {
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "internal/delivery.Call") {
			return true
		}
		if !more {
			return false
		}
	}
}
