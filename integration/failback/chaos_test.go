// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// TestChaos has providers and consumers come and go while etcd and the network
// break, and looks after every round whether everything is as it should be:
//
//   - etcd has the keys of all live providers, each process's under one lease,
//     and no others;
//   - each consumer knows exactly what etcd has;
//   - no consumer was told that a provider went which never was gone from etcd;
//   - no listener was called by two at once, after UnSubscribe, or with an event
//     that makes no sense;
//   - each process has one connection, one lease and one watch stream.
//
// CHAOS_DURATION is how long it goes on (20s), CHAOS_SEED which run it is. The
// same seed makes the same decisions, while their timing is up to the machine.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed, duration := testkit.ChaosSettings(t)
	c := newChaos(t, seed)
	begin := time.Now()
	for c.round = 1; time.Since(begin) < duration && !t.Failed(); c.round++ {
		c.play()
		c.check()
	}
	c.end()
	t.Logf("survived %d faults in %d rounds and %v: %v; after a round everything was exact within %v, at most %v",
		c.faults, c.round-1, time.Since(begin).Round(time.Second), c.kinds, (c.settling / time.Duration(c.round-1)).Round(time.Millisecond), c.slowest.Round(time.Millisecond))
}

const (
	processes     = 3
	chaosServices = 4
	perService    = 3 // addresses that a registry may register per service
	recovery      = 60 * time.Second
)

var services = [chaosServices]string{"org.a.Greeter", "org.a.Greeter2", "org.a.GreeterAdmin", "org.a.Greet"}

type chaos struct {
	t       testing.TB
	seed    uint64
	random  *rand.Rand // of the goroutine of the test
	journal *testkit.Journal
	etcd    *store
	history *history
	procs   []*process
	backup  *moment // nil: there is none

	round    int
	tainted  bool // in this round the history may have missed the store's last moments
	restored bool // in this round a backup was put back
	faults   int
	kinds    map[string]int
	kindsMu  sync.Mutex
	settling time.Duration
	slowest  time.Duration
}

func newChaos(t testing.TB, seed uint64) *chaos {
	c := &chaos{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), journal: testkit.NewJournal(), etcd: newStore(t), kinds: map[string]int{}}
	c.history = newHistory(c.etcd.client)
	for n := range processes {
		c.procs = append(c.procs, newProcess(c, n))
	}
	t.Cleanup(func() {
		c.history.stop()
		for _, p := range c.procs {
			for _, m := range p.members {
				m.registry.Destroy()
			}
		}
		if t.Failed() {
			t.Logf("CHAOS_SEED=%d, what happened:\n%s", seed, c.journal.Tail(400))
		}
	})
	return c
}

// play is one round: everybody is busy while faults strike, and in the end
// everything is whole again.
func (c *chaos) play() {
	stop := make(chan struct{})
	var busy, faulty sync.WaitGroup
	for _, p := range c.procs {
		busy.Go(func() { p.live(stop) })
	}
	struck := make(chan struct{})
	network := rand.New(rand.NewPCG(c.seed, 1000+uint64(c.round)))
	faulty.Go(func() {
		for n := network.IntN(3); n > 0; n-- {
			c.breakNetwork(network, struck)
		}
	})
	for n := 1 + c.random.IntN(4); n > 0; n-- {
		time.Sleep(time.Duration(c.random.IntN(600)) * time.Millisecond)
		c.breakStore(c.random)
	}
	time.Sleep(time.Duration(c.random.IntN(600)) * time.Millisecond)
	close(struck)
	faulty.Wait()
	for _, p := range c.procs {
		p.proxy.Restore()
		p.proxy.Thaw()
	}
	if c.random.IntN(3) == 0 { // what is registered right after a recovery
		time.Sleep(time.Duration(c.random.IntN(1000)) * time.Millisecond)
	}
	close(stop)
	busy.Wait()
}

// check waits until everything is exact.
func (c *chaos) check() {
	c.journal.Add("round %d: quiet", c.round)
	begin := time.Now()
	c.removeOrphans()
	if problem := c.settle(); problem != "" {
		for _, p := range c.procs {
			problem = strings.Join(append([]string{problem}, p.problems...), "\n")
		}
		c.fail(problem)
		return
	}
	took := time.Since(begin)
	c.settling += took
	c.slowest = max(c.slowest, took)
	c.journal.Add("round %d: exact after %v", c.round, took.Round(time.Millisecond))
	if c.random.IntN(5) == 0 { // and it stays so: no lease runs out
		time.Sleep(ttl * 3 / 2)
		problem := c.difference()
		if problem == moreWatches { // something was listed again meanwhile
			problem = c.settle()
		}
		if problem != "" {
			c.fail("it was exact and is not any more: " + problem)
			return
		}
	}
	c.checkListeners()
	c.tainted, c.restored = false, false
}

func (c *chaos) settle() (problem string) {
	_, ok := testkit.Within(recovery, func() bool {
		if problem = c.difference(); problem == moreWatches {
			c.touch()
		}
		return problem == ""
	})
	if ok {
		return ""
	}
	return fmt.Sprintf("%v after the last fault: %s", recovery, problem)
}

// touch has the clients cancel watches that nobody reads any more. One that is
// closed while etcd's client creates it anew, on a new stream, it cancels only
// when something arrives on it (v3.6.14, watch.go, "case pbresp.Created").
func (c *chaos) touch() {
	for _, service := range services {
		for _, category := range []string{"providers", "consumers", "configurators", "routers"} {
			key := root + service + "/" + category + "/nothing"
			testkit.Put(c.t, c.etcd.client, key, "")
			testkit.Delete(c.t, c.etcd.client, key)
		}
	}
}

// checkListeners looks for what no listener should have been told.
func (c *chaos) checkListeners() {
	c.history.sync(c.t)
	absences := c.history.takeAbsences()
	allowed := 0
	if c.tainted {
		allowed = 1
	}
	var wrong []string
	for _, p := range c.procs {
		wrong = append(wrong, p.problems...)
		p.problems = nil
		for _, r := range p.recorders() {
			wrong = append(wrong, r.TakeFaults()...)
			for name, n := range r.takeRemovals() {
				if n > absences[name]+allowed {
					wrong = append(wrong, fmt.Sprintf("%s was told %d time(s) that %s is gone, which happened %d time(s)", r.Name, n, name, absences[name]))
				}
			}
		}
		p.ended = nil
	}
	if len(wrong) > 0 {
		c.fail(strings.Join(wrong, "\n"))
	}
}

// end has everybody leave: nothing may stay.
func (c *chaos) end() {
	for _, p := range c.procs {
		p.leave()
	}
	_, ok := testkit.Within(recovery, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.LongPatience)
		defer cancel()
		leases, err := c.etcd.client.Leases(ctx)
		return err == nil && len(leases.Leases) == 0
	})
	if !ok {
		c.fail("there are leases when all have left")
	}
	for _, p := range c.procs {
		if _, ok := testkit.Within(testkit.LongPatience, func() bool { return p.proxy.Open() == 0 }); !ok {
			c.fail(fmt.Sprintf("process %d has left and still has %d connections", p.number, p.proxy.Open()))
		}
	}
}

func (c *chaos) fail(problem string) {
	c.t.Helper()
	c.journal.Add("FAILED: %s", problem)
	c.t.Errorf("CHAOS_SEED=%d, round %d: %s", c.seed, c.round, problem)
}
