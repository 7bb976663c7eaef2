// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// tally is what became of the calls of one reference since the last reset.
type tally struct {
	Answered int
	By       map[string]int // answers by the provider's name
	Of       map[string]int // answers by the service that was called
	Failed   int
	Errors   []string // the first few
}

// report is what a child tells its parent.
type report struct {
	Ready   bool
	Tallies map[string]tally // by service
}

// pause is the time between two calls of one goroutine.
const pause = 5 * time.Millisecond

// load calls one service all the time.
type load struct {
	client *greetClient

	mu    sync.Mutex // guards all below
	since int        // counts the resets: calls that began before one do not count after it
	tally tally
}

// call starts the load of one reference.
func (c *child) call(s service, cli *greetClient) {
	l := &load{client: cli}
	l.reset()
	for range max(c.Callers, 1) {
		go func() {
			for {
				l.one()
				time.Sleep(pause)
			}
		}()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads[s.id()] = l
}

func (l *load) one() {
	l.mu.Lock()
	since := l.since
	l.mu.Unlock()
	name, id, err := l.client.greet(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since != since {
		return
	}
	if err != nil {
		if l.tally.Failed++; len(l.tally.Errors) < 3 {
			l.tally.Errors = append(l.tally.Errors, fmt.Sprintf("%s %.300s", time.Now().Format(time.TimeOnly), err))
		}
		return
	}
	l.tally.Answered++
	l.tally.By[name]++
	l.tally.Of[id]++
}

func (l *load) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since++
	l.tally = tally{By: map[string]int{}, Of: map[string]int{}}
}

func (l *load) snapshot() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	t.By, t.Of = maps.Clone(t.By), maps.Clone(t.Of)
	return t
}

func (c *child) report() report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := report{Ready: c.ready, Tallies: map[string]tally{}}
	for id, l := range c.loads {
		r.Tallies[id] = l.snapshot()
	}
	return r
}

func (c *child) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.loads {
		l.reset()
	}
}
