// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/require"
)

// recorder is a framework listener that keeps what it has been told, and what
// it should not have been told.
type recorder struct {
	name  string
	slow  time.Duration // how long a call takes
	byKey bool          // it subscribes to *, and is told of keys rather than of providers

	mu       sync.Mutex
	known    map[string]fact // by the key of the event
	removals map[string]int  // how often a provider went that was known
	calls    int
	inside   int  // calls under way
	closed   bool // UnSubscribe has returned
	faults   []string
}

func newRecorder(name string) *recorder {
	return &recorder{name: name, known: map[string]fact{}, removals: map[string]int{}}
}

func (r *recorder) enter() {
	r.mu.Lock()
	if r.inside++; r.inside > 1 {
		r.faultLocked("called by two goroutines at once")
	}
	if r.closed {
		r.faultLocked("called after UnSubscribe had returned")
	}
	r.calls++
	r.mu.Unlock()
	time.Sleep(r.slow)
	r.mu.Lock()
}

func (r *recorder) leave() {
	if r.closed {
		r.faultLocked("a call was under way when UnSubscribe returned")
	}
	r.inside--
	r.mu.Unlock()
}

func (r *recorder) faultLocked(what string) { r.faults = append(r.faults, r.name+": "+what) }

func (r *recorder) Notify(e *registry.ServiceEvent) {
	r.enter()
	defer r.leave()
	old, known := r.known[e.Key()]
	f := factOf(e.Service)
	switch e.Action {
	case remoting.EventTypeAdd:
		if known {
			r.faultLocked("add of what is known: " + f.version())
		}
		r.known[e.Key()] = f
	case remoting.EventTypeUpdate:
		if !known {
			r.faultLocked("update of what is unknown: " + f.version())
		}
		r.known[e.Key()] = f
	case remoting.EventTypeDel:
		if !known {
			r.faultLocked("delete of what is unknown: " + f.version())
		}
		delete(r.known, e.Key())
		r.removals[r.label(old)]++
	}
}

func (r *recorder) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	r.enter()
	defer r.leave()
	before := r.known
	r.known = map[string]fact{}
	for _, e := range events {
		if e.Action == remoting.EventTypeDel {
			r.faultLocked("delete in a list: " + e.Key())
		}
		r.known[e.Key()] = factOf(e.Service)
	}
	for key, f := range before {
		if _, still := r.known[key]; !still {
			r.removals[r.label(f)]++
		}
	}
}

// label is what this listener calls one provider.
func (r *recorder) label(f fact) string {
	if r.byKey {
		return f.version()
	}
	return f.id()
}

// view returns what is known, sorted.
func (r *recorder) view() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for f := range maps.Values(r.known) {
		all = append(all, f.version())
	}
	slices.Sort(all)
	return all
}

// addresses returns the addresses known, sorted.
func (r *recorder) addresses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for f := range maps.Values(r.known) {
		all = append(all, f.address)
	}
	slices.Sort(all)
	return all
}

// takeRemovals returns the removals since the last time.
func (r *recorder) takeRemovals() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	removals := r.removals
	r.removals = map[string]int{}
	return removals
}

func (r *recorder) takeFaults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	faults := r.faults
	r.faults = nil
	return faults
}

// close is called when UnSubscribe has returned.
func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.inside > 0 {
		r.faultLocked("UnSubscribe returned while a call was under way")
	}
}

// requireAddresses waits until exactly these addresses are known.
func (r *recorder) requireAddresses(t testing.TB, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	took, ok := eventually(patience, func() bool {
		got = r.addresses()
		return slices.Equal(got, want)
	})
	require.True(t, ok, "%s knows %v, want %v", r.name, got, want)
	require.Empty(t, r.takeFaults())
	if took > time.Second {
		t.Logf("%s was exact after %v", r.name, took.Round(10*time.Millisecond))
	}
}
