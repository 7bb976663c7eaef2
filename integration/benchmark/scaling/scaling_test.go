// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
)

// plan is how far it is gone.
type plan struct {
	budget    time.Duration // for all of it; a step that would take longer is left out
	instances []int
	processes []int
	changesAt int           // how many processes there are when changes are made more and more
	changes   []int         // a second
	resting   time.Duration // that etcd is looked at while nothing happens
	window    time.Duration // that changes go on
}

var (
	whole = plan{
		budget:    9 * time.Minute,
		instances: []int{1_000, 10_000, 100_000, 200_000},
		processes: []int{500, 1_000, 2_500, 5_000, 10_000},
		changesAt: 1_000,
		changes:   []int{20, 50, 100, 200, 400, 800, 1_600},
		resting:   10 * time.Second, // in which each lease is kept alive once
		window:    6 * time.Second,
	}
	quick = plan{
		budget:    time.Minute,
		instances: []int{1_000, 5_000},
		processes: []int{100, 200},
		changesAt: 100,
		changes:   []int{20, 100},
		resting:   2 * time.Second,
		window:    2 * time.Second,
	}
)

// TestScaling makes more of everything until a limit shows, or there is no time
// left. It asserts that etcd and its clients are right as long as they are in
// time, and nothing about how fast they are.
func TestScaling(t *testing.T) {
	if os.Getenv(runVariable) == "" {
		t.Skip("it takes ten minutes of the whole machine: make scaling")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the clients need many loopback addresses")
	}
	logger.SetLoggerLevel("fatal")
	p := whole
	if os.Getenv(quickVariable) != "" {
		p = quick
	}
	r := &results{begun: time.Now(), machine: thisMachine()}
	p.fillUp(t, r)
	p.growUp(t, r)
	text := r.markdown()
	t.Log("\n" + text)
	if path := os.Getenv(docVariable); path != "" {
		require.NoError(t, replaceSection(path, text))
		t.Logf("%s has the tables", path)
	}
}

// remains is what is left of the budget.
func (p plan) remains(r *results) time.Duration { return p.budget - time.Since(r.begun) }

// fillUp has a few processes register more and more providers.
func (p plan) fillUp(t *testing.T, r *results) {
	t.Run("instances", func(t *testing.T) {
		f := newFilling(newScene(t))
		r.version = f.version()
		took := time.Duration(0)
		for i, size := range p.instances {
			if i > 0 {
				// A third of the time is for this.
				expected := took * time.Duration(size-f.size) / time.Duration(max(1, p.instances[i-1]))
				if time.Since(r.begun)+expected > p.budget/3 {
					r.filledEnd = outOfTime("instances", size)
					return
				}
			}
			r.filledEnd = failedWith(size, "instances")
			begin := time.Now()
			row := f.fill(size)
			took = time.Since(begin)
			t.Log(row)
			if row.problem != "" {
				r.filledEnd = limited(fmt.Sprintf("%d instances", size), row.problem, row.load)
				return
			}
			r.filled = append(r.filled, row)
		}
		r.filledEnd = noLimit
	})
}

// growUp has more and more processes.
func (p plan) growUp(t *testing.T, r *results) {
	t.Run("processes", func(t *testing.T) {
		s := newScene(t)
		s.fleet = newFleet(t, s.etcd.Endpoints())
		fixed := p.resting + p.window + 2*stay + outage // what a step takes with whatever size
		var took time.Duration                          // the rest of the last one
		for i, size := range p.processes {
			if i > 0 {
				factor := time.Duration(size / p.processes[i-1])
				if fixed+took*factor > p.remains(r) {
					r.grownEnd = outOfTime("processes", size)
					return
				}
				if used := 1 - freeMemory(); used*float64(factor) > 0.9 {
					r.grownEnd = fmt.Sprintf("The limit was the memory of the machine: %.0f %% of it were used with %d processes, so %d were not tried.", used*100, s.fleet.size, size)
					return
				}
			}
			r.grownEnd = failedWith(size, "processes")
			begin := time.Now()
			row := p.step(s, size, max(patience, p.remains(r)-fixed))
			took = max(0, time.Since(begin)-fixed)
			t.Log(row)
			r.grown = append(r.grown, row)
			if row.problem != "" {
				r.grownEnd = limited(fmt.Sprintf("%d processes", size), row.problem, row.trouble)
				return
			}
			if size == p.changesAt {
				p.changeMore(t, s, r)
			}
		}
		r.grownEnd = noLimit
	})
}

// grown is what etcd makes of so many processes.
type grown struct {
	processes   int
	started     float64 // a second
	connections float64 // of the member that has most
	watches     float64
	memory      float64 // MiB, of the largest member
	rest        load
	changed     changed
	herd        herd
	problem     string
	trouble     load // when it came
}

// few is how many changes a second are made in a fleet of each size.
const few = 20

func (p plan) step(s *scene, size int, limit time.Duration) grown {
	s.t.Helper()
	g := grown{processes: size}
	c := changed{lags: lags{}}
	var before moment
	if len(s.fleet.children) > 0 {
		before = s.after(&c)
	} else {
		before = s.now()
	}
	was, begin := s.fleet.size, time.Now()
	err := s.fleet.grow(size, limit)
	end := s.now()
	g.started = float64(size-was) / time.Since(begin).Seconds()
	if err != nil {
		g.problem, g.trouble = err.Error(), end.since(before)
		return g
	}
	g.rest = s.rest(p.resting)
	resting := s.now()
	g.connections = resting.largestMember("process_open_fds")
	g.watches = resting.all("etcd_debugging_mvcc_watcher_total")
	g.memory = resting.largestMember("process_resident_memory_bytes") / (1 << 20)
	g.changed, g.herd = s.change(few, p.window), s.loseAndFind()
	switch {
	case g.changed.problem != "":
		g.problem, g.trouble = g.changed.problem, g.changed.load
	case g.herd.problem != "":
		g.problem, g.trouble = "after etcd was away: "+g.herd.problem, g.herd.load
	default:
		if err := s.removeProviders(); err != nil {
			g.problem, g.trouble = err.Error(), g.herd.load
		}
	}
	return g
}

// changeMore makes more and more changes a second.
func (p plan) changeMore(t *testing.T, s *scene, r *results) {
	t.Helper()
	r.changedAt = s.fleet.size
	for _, perSecond := range p.changes {
		r.changedEnd = failedWith(perSecond, "changes a second")
		c := s.change(perSecond, p.window)
		t.Log(c)
		r.changed = append(r.changed, c)
		if c.problem != "" {
			r.changedEnd = limited(fmt.Sprintf("%d changes a second", perSecond), c.problem, c.load)
			return
		}
	}
	r.changedEnd = noLimit
}
