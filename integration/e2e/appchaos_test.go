// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// TestApplicationChaos has applications come, go, stand still and be deployed
// with other services, consumers start again, and etcd and the network break,
// and looks after every round whether everything is as it should be:
//
//   - etcd has the instances that run, the applications of every interface and
//     the metadata that belongs to them;
//   - every consumer calls every provider of each of its references, and nobody
//     tries to reach one that is gone;
//   - from then on no call fails.
//
// All of them are processes of which little more than the address of etcd is
// configured. CHAOS_DURATION is how long it goes on (20s), CHAOS_SEED which run
// it is. The same seed makes the same decisions, while their timing is up to the
// machine. With CHAOS_LEVEL=interface the registries are of the interface level,
// which is to show that it is not the test that fails.
func TestApplicationChaos(t *testing.T) {
	t.Parallel()
	seed, duration := testkit.ChaosSettings(t)
	level := byDefault
	switch s := os.Getenv("CHAOS_LEVEL"); s {
	case "", "application":
	case "interface":
		level = byInterface
	default:
		t.Fatalf("CHAOS_LEVEL is %q, want application or interface", s)
	}
	c := newAppChaos(t, seed, level)
	begin := time.Now()
	c.begin()
	c.check()
	for c.round = 1; time.Since(begin) < duration && !t.Failed(); c.round++ {
		c.play()
		c.check()
	}
	t.Logf("%d faults in %d rounds and %v: %v; after a round everything was exact within %v, at most %v; of %d calls that were counted then %d failed; the machine had no time %d time(s)",
		c.faults, c.round-1, time.Since(begin).Round(time.Second), c.kinds, (c.settling / time.Duration(c.round)).Round(time.Millisecond),
		c.slowest.Round(time.Millisecond), c.calls, c.failed, c.starved)
	if c.slowest > slow && !t.Failed() {
		t.Logf("the slowest round:\n%s", c.slowestRound)
	}
}

const (
	// chaosSession is that of all registries: what ends without a word is gone
	// soon after it.
	chaosSession = medium
	// chaosPause is between two calls of a reference: the machine is to have time
	// for the faults.
	chaosPause = 40 * time.Millisecond
	// slow is a recovery that is worth a look.
	slow = 10 * time.Second
	// recovery is how long everything may take to be exact after a round.
	recovery = 60 * time.Second
	// patienceWithMachine is how long it may take that has no time for anything.
	patienceWithMachine = 5 * recovery
	// recoveryOfProcesses is how long those may take to end that were told to.
	recoveryOfProcesses = 90 * time.Second
)

type appChaos struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand // of decisions, which must not depend on what has been seen
	level  registryType
	etcd   *etcdtest.Server
	client *clientv3.Client // that nothing cuts off
	*testkit.Journal

	members   []*member
	lives     lives
	ground    *life    // of the addresses
	addresses []string // that nobody has
	released  []string // that nobody has from the next round on
	graves    graves
	pending   []*pending
	away      bool // etcd is
	pulse     *pulse

	round        int
	faults       int
	kinds        map[string]int
	settling     time.Duration
	slowest      time.Duration
	slowestRound string // what happened in it
	roundBegan   int    // how long the journal was
	calls        int    // that were counted when all was exact
	failed       int    // of them
	starved      int    // how often nothing was judged, since the machine had no time
}

func newAppChaos(t *testing.T, seed uint64, level registryType) *appChaos {
	etcd := etcdtest.Start(t)
	c := &appChaos{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), level: level,
		etcd: etcd, client: etcd.NewClient(testkit.Quickly),
		lives: lives{}, pulse: newPulse(t), kinds: map[string]int{},
		Journal: testkit.NewJournal(),
	}
	c.ground = c.lives.begin(t)
	c.members = c.newMembers()
	for range 4 {
		c.addresses = append(c.addresses, address(c.ground))
	}
	t.Cleanup(func() {
		for l := range c.lives {
			l.end()
		}
		c.graves.closeAll()
		if t.Failed() {
			t.Logf("CHAOS_SEED=%d, what happened:\n%s", seed, c.Tail(400))
		}
	})
	return c
}

// begin starts some of the members, in any order.
func (c *appChaos) begin() {
	for _, i := range c.random.Perm(len(c.members)) {
		m := c.members[i]
		offers, moment := c.someOf(m.app.offers), c.upTo(700*time.Millisecond)
		if m.number == 1 || c.random.IntN(4) == 0 {
			c.pause(moment)
			c.launch(m, offers)
		}
	}
}

// play is one round: faults strike while others last, and in the end everything
// is whole again.
func (c *appChaos) play() {
	c.roundBegan = c.Len()
	c.Add("round %d", c.round)
	for n := 1 + c.random.IntN(3); n > 0; n-- {
		c.strike()
		c.pause(c.upTo(1500 * time.Millisecond))
	}
	c.mend()
	for _, m := range c.members {
		m.taken = false
	}
	c.addresses = append(c.addresses, c.released...)
	c.released = nil
}

func (c *appChaos) fail(problem string, about ...*member) {
	c.t.Helper()
	c.Add("FAILED: %s", problem)
	c.t.Errorf("CHAOS_SEED=%d, round %d, after %d faults: %s", c.seed, c.round, c.faults, problem)
	for _, m := range about {
		if m.run != nil {
			c.t.Logf("the last lines of %s:\n%s", m.run.name, m.run.log())
		}
	}
}

func (c *appChaos) fault(kind, format string, args ...any) {
	c.faults++
	c.kinds[kind]++
	c.Add("FAULT: %s: %s", kind, fmt.Sprintf(format, args...))
}

// upTo draws a time.
func (c *appChaos) upTo(d time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(d/time.Millisecond))) * time.Millisecond
}

// someOf draws some services, mostly all: at least one, unless there is none.
func (c *appChaos) someOf(all []service) []service {
	if len(all) == 0 || c.random.IntN(3) == 0 {
		return all
	}
	var some []service
	for _, s := range all {
		if c.random.IntN(2) == 0 {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		some = all[:1]
	}
	return some
}

// pending is what is done later: the rest of a fault.
type pending struct {
	what  string
	ready func() bool
	do    func()
	since time.Time
}

// when does something as soon as a condition holds, which is looked at while
// the chaos waits. It must not wait itself.
func (c *appChaos) when(ready func() bool, what string, do func()) {
	c.pending = append(c.pending, &pending{what, ready, do, time.Now()})
}

// after does something later.
func (c *appChaos) after(d time.Duration, what string, do func()) {
	at := time.Now().Add(d)
	c.when(func() bool { return time.Now().After(at) }, what, do)
}

// turn does what is ready.
func (c *appChaos) turn() {
	all := c.pending
	c.pending = nil
	for _, p := range all {
		if p.ready() {
			p.do()
		} else {
			c.pending = append(c.pending, p)
		}
	}
	time.Sleep(10 * time.Millisecond)
}

// pause waits, and does what is ready meanwhile.
func (c *appChaos) pause(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		c.turn()
	}
}

// mend returns when all faults are over.
func (c *appChaos) mend() {
	for len(c.pending) > 0 && !c.t.Failed() {
		if p := c.pending[0]; time.Since(p.since) > recoveryOfProcesses {
			c.fail(fmt.Sprintf("after %v: %s", recoveryOfProcesses, p.what))
			return
		}
		c.turn()
	}
}
