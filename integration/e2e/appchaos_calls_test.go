// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// windowCalls are counted of each reference. Of four providers one is missed
	// 1 time in a million, and then looked for in more calls.
	windowCalls = 50
	// windowLimit is how long they may take.
	windowLimit = 30 * time.Second
)

// window looks at the next calls of every reference, windowCalls of them and for
// at least a while: all go where they should, and none fails. Who has not been
// called by then is waited for. It returns as soon as something is wrong or, where
// it is to be thorough, with all that is.
func (c *appChaos) window(while, wait time.Duration, thorough bool) *wrong {
	c.graves.takeVisits()
	begin := time.Now()
	for _, m := range c.members {
		if !consumes(m) {
			continue
		}
		if err := m.run.process.ask("/reset", nil); err != nil {
			w := &wrong{}
			w.add(fmt.Sprintf("%s does not answer: %v", m.run.name, err), m)
			return w
		}
	}
	for {
		c.pause(100 * time.Millisecond)
		s := c.look()
		took := time.Since(begin)
		late := took > while+windowLimit
		switch {
		case thorough && !s.complete && !late:
		case !s.wrong.isNothing(), s.missing.isNothing() && took > while, s.complete && took > while+wait, late:
			s.wrong.join(&s.missing)
			s.wrong.join(c.visitors())
			return &s.wrong
		}
	}
}

// sight is what is seen of the calls since the last reset.
type sight struct {
	wrong    wrong
	missing  wrong // which may come yet
	complete bool  // enough calls have been made
}

func (c *appChaos) look() *sight {
	s := &sight{complete: true}
	for _, m := range c.members {
		if !consumes(m) {
			continue
		}
		var r report
		if err := m.run.process.ask("/report", &r); err != nil {
			s.wrong.add(fmt.Sprintf("%s does not answer: %v", m.run.name, err), m)
			continue
		}
		for _, ref := range m.app.refers {
			c.judge(s, m, ref, r.Tallies[ref.reference()])
		}
	}
	return s
}

// judge looks at one reference of a consumer.
func (c *appChaos) judge(s *sight, m *member, ref service, seen tally) {
	want := c.want(ref)
	by := slices.Sorted(maps.Keys(seen.By))
	made := seen.Answered + seen.Failed
	notWanted := slices.ContainsFunc(by, func(name string) bool { return !slices.Contains(want, name) })
	what := fmt.Sprintf("consumer %s, reference %s: want answers by %v, seen by %v, and %d calls failed", m.run.name, ref.Interface, want, seen.By, seen.Failed)
	if len(seen.Errors) > 0 {
		what += fmt.Sprintf(", the first at %.120s", seen.Errors[0])
	}
	about := []*member{m}
	for _, provider := range c.members {
		if runs(provider) && slices.Contains(want, provider.run.name) && seen.By[provider.run.name] == 0 {
			about = append(about, provider)
		}
	}
	enough := made >= windowCalls || len(want) == 0 && made > 0 // one that fails shows that there is nobody
	s.complete = s.complete && enough
	switch {
	case notWanted, len(want) > 0 && seen.Failed > 0:
		s.wrong.add(what, about...)
	case !enough, len(by) < len(want):
		s.missing.add(what, about...)
	}
}

// visitors says whether somebody has tried to reach a provider that is gone.
func (c *appChaos) visitors() *wrong {
	w := &wrong{}
	for address, n := range c.graves.takeVisits() {
		w.add(fmt.Sprintf("somebody has tried to reach %s %d time(s), where a provider is gone", address, n), c.those(consumes)...)
	}
	return w
}

// countCalls adds up what became of the calls of the last window.
func (c *appChaos) countCalls() {
	for _, m := range c.members {
		var r report
		if !consumes(m) || m.run.process.ask("/report", &r) != nil {
			continue
		}
		for _, ref := range m.app.refers {
			if len(c.want(ref)) > 0 {
				c.calls += r.Tallies[ref.reference()].Answered + r.Tallies[ref.reference()].Failed
				c.failed += r.Tallies[ref.reference()].Failed
			}
		}
	}
}
