// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// chain is three applications of two instances each: the front calls services of
// the middle, the middle those of the back.
type chain struct {
	t    *testing.T
	etcd *etcdtest.Server
	runs map[string]*process // by name, what runs of it now
}

// halves are the instances, one of each application a half.
var halves = [2][]string{{"front0", "middle0", "back0"}, {"front1", "middle1", "back1"}}

var everybody = slices.Concat(halves[0], halves[1])

// What the middle and the back serve.
var ofMiddle, ofBack = numbered(6)[:3], numbered(6)[3:]

func newChain(t *testing.T, session time.Duration, with func(spec) spec) *chain {
	c := &chain{t: t, etcd: etcdtest.Start(t), runs: map[string]*process{}}
	for _, name := range everybody {
		s := spec{Name: name, Application: name[:len(name)-1], Pause: 4 * defaultPause, Registries: []registrySpec{{Address: c.etcd.Endpoint(), Session: session}}}
		switch s.Application {
		case "front":
			s.References = ofMiddle
		case "middle":
			s.Address, s.Services, s.References = address(t), ofMiddle, ofBack
		case "back":
			s.Address, s.Services = address(t), ofBack
		}
		c.runs[name] = start(t, with(application(s)))
	}
	c.await()
	return c
}

// await waits until everybody calls whom it should.
func (c *chain) await() {
	c.t.Helper()
	all := views{}
	for _, p := range c.runs {
		all[p] = c.view(p)
	}
	awaitViews(c.t, all)
}

// view is whom a process should call.
func (c *chain) view(p *process) view {
	switch p.application() {
	case "front":
		return of(ofMiddle, c.both("middle")...)
	case "middle":
		return of(ofBack, c.both("back")...)
	default:
		return nil
	}
}

func (c *chain) both(application string) []*process {
	return []*process{c.runs[application+"0"], c.runs[application+"1"]}
}

// restart stops these, all at once, and starts them at once, each with what edit
// makes of its spec.
func (c *chain) restart(names []string, edit func(spec) spec) {
	c.t.Helper()
	c.stop(names)
	c.startAgain(names, edit)
}

func (c *chain) stop(names []string) {
	c.t.Helper()
	for _, name := range names {
		c.runs[name].terminate()
	}
	for _, name := range names {
		c.runs[name].awaitEnd()
	}
}

func (c *chain) startAgain(names []string, edit func(spec) spec) {
	c.t.Helper()
	for _, name := range names {
		c.runs[name] = start(c.t, edit(c.runs[name].spec))
	}
}

// reset has each call of these count that fails from here on.
func (c *chain) reset(names []string) {
	c.t.Helper()
	for _, name := range names {
		c.runs[name].reset()
	}
}

// requireNoFailure fails if a call has failed since its process was reset.
func (c *chain) requireNoFailure() {
	c.t.Helper()
	for name, p := range c.runs {
		for id, calls := range p.report().Tallies {
			assert.Zero(c.t, calls.Failed, "failed calls of %s, to %s: %v", name, id, calls.Errors)
		}
	}
}

// newer is the next release of a process: what serves serves one thing more.
func newer(s spec) spec {
	if n := len(s.Services); n > 0 {
		s.Services = append(slices.Clone(s.Services), service{Interface: fmt.Sprintf("org.e2e.More%d", n)})
	}
	return s
}

// While one half restarts, the other one carries the calls: none fails, but the
// first ones of those that start, which may find nobody yet.
func TestNoCallFailsDuringARollingRestartOfAChainOfApplications(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(spec) spec{
		"OfOneRevision":  func(s spec) spec { return s },
		"OfNewRevisions": newer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
				c := newChain(t, long, with)
				c.reset(everybody)
				for _, half := range halves {
					c.restart(half, edit)
					c.await()
					c.reset(half)
					c.await()
					c.requireNoFailure()
				}
			})
		})
	}
}

// All six stop, and start at once.
func TestChainOfApplicationsThatRestartsAtOnceWorksAgain(t *testing.T) {
	t.Parallel()
	withBothMetadataTypes(t, func(t *testing.T, with func(spec) spec) {
		c := newChain(t, long, with)
		c.restart(everybody, newer)
		c.await()
		c.reset(everybody)
		c.await()
		c.requireNoFailure()
	})
}
