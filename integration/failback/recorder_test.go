// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// recorder is a framework listener that keeps what it has been told, and what
// it should not have been told.
type recorder struct {
	testkit.Listener
	byKey bool // it subscribes to *, and is told of keys rather than of providers
}

func newRecorder(name string) *recorder {
	r := &recorder{}
	r.Name = name
	return r
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
	var all []string
	for u := range maps.Values(r.URLs()) {
		all = append(all, factOf(u).version())
	}
	slices.Sort(all)
	return all
}

// takeRemovals returns how often a provider went that was known, since the last
// time.
func (r *recorder) takeRemovals() map[string]int {
	removals := map[string]int{}
	for _, u := range r.TakeGone() {
		removals[r.label(factOf(u))]++
	}
	return removals
}

// requireAddresses waits until exactly these addresses are known.
func (r *recorder) requireAddresses(t testing.TB, want ...string) {
	t.Helper()
	r.RequireAddressesWithin(t, testkit.LongPatience, want...)
}
