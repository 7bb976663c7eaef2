// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// mostSamples is of how many revisions a clock remembers when they were: of one a second
// those of the last five hours at least.
const mostSamples = 20_000

// Clock notes when etcd had which revision. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex // guards what follows
	cluster uint64
	samples []sample // in the order of their revisions
}

// sample is a revision that etcd was seen to have.
type sample struct {
	revision int64
	first    time.Time // when etcd had said so first
	last     time.Time // when it was asked last, and still had it
}

// Note takes what etcd answered to a question: its revision lies somewhere between asked
// and answered.
func (c *Clock) Note(cluster uint64, revision int64, asked, answered time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.samples) - 1
	if cluster != c.cluster || last >= 0 && revision < c.samples[last].revision && asked.After(c.samples[last].first) {
		c.cluster, c.samples = cluster, nil // another store: its revisions are others
		last = -1
	}
	switch {
	case last >= 0 && revision == c.samples[last].revision:
		if asked.After(c.samples[last].last) {
			c.samples[last].last = asked
		}
	case last >= 0 && revision < c.samples[last].revision: // an answer that was overtaken
	default:
		if len(c.samples) == mostSamples {
			c.samples = slices.Delete(c.samples, 0, mostSamples/10)
		}
		c.samples = append(c.samples, sample{revision: revision, first: answered, last: asked})
	}
}

// Between returns between when and when a revision was made. The first is zero if it was
// before the clock began, the second if it is later than all that was noted.
func (c *Clock) Between(revision int64) (after, before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.samples), func(i int) bool { return c.samples[i].revision >= revision })
	if i > 0 {
		after = c.samples[i-1].last
	}
	if i < len(c.samples) {
		before = c.samples[i].first
	}
	return after, before
}
