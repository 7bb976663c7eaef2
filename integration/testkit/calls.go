// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Calls notes which calls of a listener should not have been made: two at a
// time, or one after its end. A listener embeds it, and is between Enter and
// Leave while it is called.
type Calls struct {
	Name string // of the listener; may be empty

	mu     sync.Mutex // guards all below
	inside int        // calls under way
	closed bool
	faults []string
}

// Enter begins a call.
func (c *Calls) Enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside++; c.inside > 1 {
		c.faultLocked("called by two goroutines at once")
	}
	if c.closed {
		c.faultLocked("called after its end")
	}
}

// Leave ends a call: deferred, it does so for one that panics, too.
func (c *Calls) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.faultLocked("a call was under way at its end")
	}
	c.inside--
}

// Close is called when nothing may be told any more: UnSubscribe has returned.
func (c *Calls) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.inside > 0 {
		c.faultLocked("it ended while a call was under way")
	}
}

func (c *Calls) faultLocked(format string, args ...any) {
	if c.Name != "" {
		format, args = "%s: "+format, append([]any{c.Name}, args...)
	}
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// TakeFaults returns the faults since the last time.
func (c *Calls) TakeFaults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	faults := c.faults
	c.faults = nil
	return faults
}

// RequireNoFaults ends the test if there are faults.
func (c *Calls) RequireNoFaults(t testing.TB) {
	t.Helper()
	require.Empty(t, c.TakeFaults())
}

// Told keeps what a listener is told, as a text a call. A listener embeds it.
type Told struct {
	Calls
	During func() // unless nil, is called in each call, of which the text is kept already

	all []string // guarded by Calls.mu
}

// Tell is what the listener does with a call.
func (l *Told) Tell(what string) {
	l.Enter()
	defer l.Leave()
	l.mu.Lock()
	l.all = append(l.all, what)
	l.mu.Unlock()
	if l.During != nil {
		l.During()
	}
}

// All returns what the listener was told.
func (l *Told) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// RequireLast waits until this is what the listener was told last.
func (l *Told) RequireLast(t testing.TB, want string) {
	t.Helper()
	ok := Eventually(func() bool {
		all := l.All()
		return len(all) > 0 && all[len(all)-1] == want
	})
	require.True(t, ok, "the listener was told %q, want %q last", l.All(), want)
	l.RequireNoFaults(t)
}
