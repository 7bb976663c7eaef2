// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/require"
)

// Listener is a framework listener that keeps what it has been told, and what
// it should not have been told: see [Calls], and events that make no sense. The
// zero value is one that knows nothing.
type Listener struct {
	Calls
	OnNotify func(*registry.ServiceEvent) // unless nil, is called in each Notify, which is not kept yet
	Slow     time.Duration                // how long a call takes

	// guarded by Calls.mu
	urls    map[string]*common.URL // by the key of the event
	gone    []*common.URL          // those that ceased to be known
	lists   int                    // calls of NotifyAll
	singles []string               // calls of Notify: "add 10.0.0.1:20000"
}

// Notify keeps one event.
func (l *Listener) Notify(e *registry.ServiceEvent) {
	l.Enter()
	defer l.Leave()
	time.Sleep(l.Slow)
	if l.OnNotify != nil {
		l.OnNotify(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.singles = append(l.singles, e.Action.String()+" "+e.Service.Address())
	old, known := l.urls[e.Key()]
	switch {
	case e.Action == remoting.EventTypeAdd && known:
		l.faultLocked("add of what is known: %s", e.Service)
	case e.Action != remoting.EventTypeAdd && !known:
		l.faultLocked("%s of what is unknown: %s", e.Action, e.Service)
	}
	if e.Action != remoting.EventTypeDel {
		if l.urls == nil {
			l.urls = map[string]*common.URL{}
		}
		l.urls[e.Key()] = e.Service
	} else if known {
		delete(l.urls, e.Key())
		l.gone = append(l.gone, old)
	}
}

// NotifyAll keeps a list.
func (l *Listener) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	l.Enter()
	defer l.Leave()
	time.Sleep(l.Slow)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists++
	before := l.urls
	l.urls = map[string]*common.URL{}
	for _, e := range events {
		if e.Action == remoting.EventTypeDel {
			l.faultLocked("delete in a list: %s", e.Service)
		}
		l.urls[e.Key()] = e.Service
	}
	for key, u := range before {
		if _, still := l.urls[key]; !still {
			l.gone = append(l.gone, u)
		}
	}
}

// URLs returns what is known, by the key of the event: the very URLs that the
// listener was given.
func (l *Listener) URLs() map[string]*common.URL {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.urls)
}

// Addresses returns the addresses known, sorted.
func (l *Listener) Addresses() []string { return Addresses(slices.Collect(maps.Values(l.URLs()))) }

// Counts returns the number of lists, and the single events in their order, as
// "add 10.0.0.1:20000".
func (l *Listener) Counts() (lists int, singles []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lists, slices.Clone(l.singles)
}

// TakeGone returns what ceased to be known since the last time, as often as it
// did.
func (l *Listener) TakeGone() []*common.URL {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := l.gone
	l.gone = nil
	return gone
}

// RequireAddresses waits until the listener knows exactly these addresses.
func (l *Listener) RequireAddresses(t testing.TB, want ...string) {
	t.Helper()
	l.RequireAddressesWithin(t, Patience, want...)
}

// RequireAddressesWithin is RequireAddresses with another limit.
func (l *Listener) RequireAddressesWithin(t testing.TB, limit time.Duration, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	took, ok := Within(limit, func() bool {
		got = l.Addresses()
		return slices.Equal(got, want)
	})
	require.True(t, ok, "the listener %s knows %s, want %s", l.Name, Abbreviate(got), Abbreviate(want))
	l.RequireNoFaults(t)
	if took > time.Second {
		t.Logf("the listener %s was exact after %v", l.Name, took.Round(10*time.Millisecond))
	}
}

// Abbreviate is a list for a message: how many there are, and the first of
// them.
func Abbreviate(list []string) string {
	if len(list) > 10 {
		return fmt.Sprintf("%d: %v...", len(list), list[:10])
	}
	return fmt.Sprintf("%d: %v", len(list), list)
}
