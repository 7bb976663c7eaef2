// SPDX-License-Identifier: Apache-2.0

// Package delivery is how listeners of the framework are called: what they do
// is not known, and may be wrong.
package delivery

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/dubbogo/gost/log/logger"
)

// Call calls f, which tells a listener something, and survives its panic. It
// reports whether f returned. listener and what name both sides in the log.
//
// It is in the stack of every call of a listener: Inside looks for it.
//
//go:noinline
func Call(listener, what string, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			logger.Errorf("[etcdv3] a listener of %s panicked over %s, going on: %v\n%s", listener, what, r, debug.Stack())
		}
	}()
	f()
	return true
}

// Inside reports whether the calling goroutine was called by a listener that
// is being told something: to wait there until a delivery has ended might never
// end.
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
