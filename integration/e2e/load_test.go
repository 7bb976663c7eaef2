// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
)

// tally is what became of the calls of one reference since the last reset.
type tally struct {
	Answered int
	By       map[string]int // answers by the provider's name
	Of       map[string]int // answers by the service that was called
	Failed   int
	Errors   []string  // the first few
	First    time.Time // when a call was answered first, whatever was reset since
}

// report is what a child tells its parent.
type report struct {
	Ready   bool
	Began   time.Time        // its main
	Tallies map[string]tally // by reference
}

// defaultPause is the time between two calls of one goroutine.
const defaultPause = 10 * time.Millisecond

// load calls one service all the time.
type load struct {
	client *greetClient
	made   *client.ReferenceOptions // what dubbo-go has of the reference; nil: not known
	zones  []string                 // that are tried
	ctx    context.Context          // of the calls
	ended  chan struct{}            // closed when it is to end
	work   sync.WaitGroup           // the callers

	mu    sync.Mutex // guards all below
	since int        // counts the resets: calls that began before one do not count after it
	tally tally
}

// call starts the load of one reference.
func (c *child) call(s service, cli *greetClient, made *client.ReferenceOptions) {
	l := &load{client: cli, made: made, zones: c.Zones, ctx: c.forced(context.Background()), ended: make(chan struct{})}
	l.reset()
	pause := cmp.Or(c.Pause, defaultPause)
	for range max(c.Callers, 1) {
		l.work.Go(func() {
			ticker := time.NewTimer(0)
			defer ticker.Stop()
			for {
				select {
				case <-l.ended:
					return
				case <-ticker.C:
				}
				l.one()
				ticker.Reset(pause)
			}
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads[s.reference()] = l
}

// end returns when there is no call any more.
func (l *load) end() {
	close(l.ended)
	l.work.Wait()
}

func (l *load) one() {
	l.mu.Lock()
	since := l.since
	l.mu.Unlock()
	var name, id string
	err := tryZones(l.ctx, l.zones, func(ctx context.Context) (err error) {
		name, id, err = l.client.greet(ctx)
		return err
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.tally.First.IsZero() {
		l.tally.First = time.Now()
	}
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
	l.tally = tally{By: map[string]int{}, Of: map[string]int{}, First: l.tally.First}
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
	r := report{Ready: c.ready, Began: c.began, Tallies: map[string]tally{}}
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
