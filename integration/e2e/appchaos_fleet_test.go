// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// fleetApp is an application of the chaos.
type fleetApp struct {
	name      string
	offers    []service // what a deployment has some of
	refers    []service // what each instance calls
	instances int       // at most
	remote    int       // how many of the instances have their metadata in etcd
	keepsHome bool      // an instance that starts again has what it wrote down
}

func chaosService(name string) service { return service{Interface: "org.chaos." + name} }

// fleet has services that two applications offer, applications of which the
// instances are of two revisions, and one that calls others and is called.
func fleet() []*fleetApp {
	cart, order, price, stock := chaosService("Cart"), chaosService("Order"), chaosService("Price"), chaosService("Stock")
	bill, mail, gate := chaosService("Bill"), chaosService("Mail"), chaosService("Gate")
	all := []service{cart, order, price, stock, bill, mail}
	return []*fleetApp{
		{name: "shop", offers: []service{cart, order, price}, instances: 2},
		{name: "stock", offers: []service{stock, price}, instances: 2, remote: 1},
		{name: "bill", offers: []service{bill, order}, instances: 2},
		{name: "mail", offers: []service{mail, stock}, instances: 1, remote: 1},
		{name: "gate", offers: []service{gate}, refers: all, instances: 1},
		{name: "site", refers: append(slices.Clone(all), gate), instances: 1, keepsHome: true},
		{name: "desk", refers: append(slices.Clone(all), gate), instances: 1},
	}
}

// member is an instance of an application, whether it runs or not.
type member struct {
	app     *fleetApp
	number  int
	remote  bool            // its metadata is in etcd
	proxy   *etcdtest.Proxy // its way to etcd
	home    string          // empty: a new one at each start
	address string          // of its next start
	starts  int
	taken   bool // it has its fault of this round
	run     *run // nil: it does not run, or is to end
}

// run is what a member is from a start to an end.
type run struct {
	name    string
	address string // empty: it provides nothing
	offers  []service
	process *process
	life    *life
}

func (r *run) String() string {
	if r.address == "" {
		return r.name
	}
	return fmt.Sprintf("%s at %s with %s", r.name, r.address, namesOf(r.offers))
}

// leave is told of a member that is to end: it is not to be called from now on.
func (m *member) leave() *run {
	r := m.run
	m.run = nil
	return r
}

func namesOf(services []service) string {
	var names []string
	for _, s := range services {
		names = append(names, strings.TrimPrefix(s.Interface, "org.chaos."))
	}
	return "[" + strings.Join(names, " ") + "]"
}

func (c *appChaos) newMembers() []*member {
	var all []*member
	for _, app := range fleet() {
		for n := range app.instances {
			m := &member{app: app, number: n + 1, remote: n >= app.instances-app.remote, proxy: etcdtest.NewProxy(c.t, c.etcd.Endpoint())}
			if len(app.offers) > 0 {
				m.address = address(c.ground)
			}
			if app.keepsHome {
				m.home = c.t.TempDir()
			}
			all = append(all, m)
		}
	}
	return all
}

// want returns the names of those who are to be called for a service.
func (c *appChaos) want(s service) []string {
	var names []string
	for _, m := range c.members {
		if m.run != nil && slices.Contains(m.run.offers, s) {
			names = append(names, m.run.name)
		}
	}
	slices.Sort(names)
	return names
}

// pick draws a member that has no fault in this round yet; nil: there is none.
func (c *appChaos) pick(fits func(*member) bool) *member {
	all := c.those(func(m *member) bool { return !m.taken && fits(m) })
	if len(all) == 0 {
		return nil
	}
	m := all[c.random.IntN(len(all))]
	m.taken = true
	return m
}

func runs(m *member) bool     { return m.run != nil }
func absent(m *member) bool   { return m.run == nil }
func provides(m *member) bool { return m.run != nil && len(m.run.offers) > 0 }
func consumes(m *member) bool { return m.run != nil && len(m.app.refers) > 0 }

// those returns the members of a kind.
func (c *appChaos) those(fits func(*member) bool) []*member {
	var all []*member
	for _, m := range c.members {
		if fits(m) {
			all = append(all, m)
		}
	}
	return all
}

// launch starts a member that does not run.
func (c *appChaos) launch(m *member, offers []service) {
	m.starts++
	r := &run{name: fmt.Sprintf("%s-%d.%d", m.app.name, m.number, m.starts), address: m.address, offers: offers}
	c.graves.close(r.address)
	r.life = c.lives.begin(c.t)
	r.process = start(r.life, spec{
		Name: r.name, Application: m.app.name, Home: m.home,
		Registries: []registrySpec{{Address: m.proxy.Addr(), Session: chaosSession, Type: c.level}},
		Address:    r.address, Services: offers, RemoteMetadata: m.remote,
		References: m.app.refers, Pause: chaosPause,
	})
	m.run = r
	c.Add("%v has been started", r)
}

// ender ends what was a member, then goes on.
type ender func(r *run, then func())

// stop ends it as a deployment does.
func (c *appChaos) stop(r *run, then func()) {
	r.process.terminate()
	c.when(r.hasEnded, r.name+" does not end, although it was told to", func() {
		if code := r.process.cmd.ProcessState.ExitCode(); code != 0 {
			c.fail(fmt.Sprintf("%s was told to end and did so with %v:\n%s", r.name, r.process.cmd.ProcessState, r.process.tail()))
		}
		c.Add("%s has ended", r.name)
		c.bury(r)
		then()
	})
}

// kill ends it as a crash does.
func (c *appChaos) kill(r *run, then func()) {
	r.process.kill()
	c.bury(r)
	then()
}

func (c *appChaos) bury(r *run) {
	r.life.end()
	c.graves.dig(r.address)
}

func (r *run) hasEnded() bool {
	select {
	case <-r.process.ended:
		return true
	default:
		return false
	}
}

// ending draws how a member ends.
func (c *appChaos) ending() (how string, end ender) {
	if c.random.IntN(3) == 0 {
		return "killed", c.kill
	}
	return "stopped", c.stop
}

// move gives a member another address: one that nobody has, or has had in this
// round. Applications inherit addresses of one another.
func (c *appChaos) move(m *member) bool {
	if len(c.addresses) == 0 || m.address == "" {
		return false
	}
	i := c.random.IntN(len(c.addresses))
	c.released = append(c.released, m.address)
	m.address = c.addresses[i]
	c.addresses = slices.Delete(c.addresses, i, i+1)
	return true
}

// log returns the last lines of a process's log that may say why something is
// wrong.
func (r *run) log() string {
	text, err := os.ReadFile(r.process.log())
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if revealing.MatchString(line) && !repeated.MatchString(line) {
			lines = append(lines, fmt.Sprintf("%.250s", strings.TrimRight(line, "\n")))
		}
	}
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

var (
	revealing = regexp.MustCompile(`WARN|ERROR|panic|\[etcdv3\]|\[ServiceDiscovery\]|\[Metadata\]|selector`)
	repeated  = regexp.MustCompile(`\[Cluster\]|invokers from previous router is empty|protocolConfig not found|No provider available`)
)

// life is a test within the test, as each process has one: nothing of it is left
// when it has ended, since there are hundreds in a run.
type life struct {
	testing.TB
	dirs     []string
	cleanups []func()
	all      lives
}

// lives are those that have not ended.
type lives map[*life]bool

func (ls lives) begin(t testing.TB) *life {
	l := &life{TB: t, all: ls}
	ls[l] = true
	return l
}

func (l *life) TempDir() string {
	l.Helper()
	dir, err := os.MkdirTemp("", "appchaos-")
	require.NoError(l, err)
	l.dirs = append(l.dirs, dir)
	return dir
}

func (l *life) Cleanup(f func()) { l.cleanups = append(l.cleanups, f) }

// Failed is false: whose log is of interest is known where something fails.
func (l *life) Failed() bool { return false }

func (l *life) end() {
	for _, f := range slices.Backward(l.cleanups) {
		f()
	}
	for _, dir := range l.dirs {
		_ = os.RemoveAll(dir)
	}
	delete(l.all, l)
}
