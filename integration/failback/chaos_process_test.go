// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// process stands for one process: as it has an address of etcd of its own, it
// has a connection, a lease and a watch stream of its own. Everything of it is
// for one goroutine at a time: that of live, or, when that has ended, the test.
type process struct {
	chaos    *chaos
	number   int
	random   *rand.Rand
	proxy    *etcdtest.Proxy
	members  []*member
	ended    []*recorder // those that were unsubscribed in this round
	problems []string
	count    int // of listeners

	// persistent keys that were ever registered since the process started, and
	// those that it may have left in etcd: one that ends while etcd is away
	// cannot delete what was unregistered meanwhile.
	persistent, left map[string]bool
}

// member is one registry of a process, with what it should have in etcd and
// what it listens to.
type member struct {
	registry   registry.Registry
	number     int
	registered map[string]*common.URL // by service and address
	subscribed []*subscription
}

type subscription struct {
	service  string
	url      *common.URL
	recorder *recorder
}

func newProcess(c *chaos, number int) *process {
	p := &process{
		chaos: c, number: number,
		random: rand.New(rand.NewPCG(c.seed, 1+uint64(number))),
		proxy:  etcdtest.NewProxy(c.t, c.etcd.Endpoint()),
		left:   map[string]bool{},
	}
	p.enter()
	return p
}

// enter makes the registries of a process that starts.
func (p *process) enter() {
	p.persistent = map[string]bool{}
	for n := range 2 {
		p.members = append(p.members, p.newMember(n))
	}
}

func (p *process) newMember(number int) *member {
	m := &member{number: number, registered: map[string]*common.URL{}}
	var err error
	if m.registry, err = testkit.OpenRegistry(p.proxy.Addr(), settings...); err != nil {
		p.problem("open a registry: %v", err)
		return m
	}
	// As the framework does for a reference: there is always a lease.
	p.try("register a consumer", m.registry.Register(testkit.Consumer("org.b.Other", "process", strconv.Itoa(p.number), "member", strconv.Itoa(number))))
	return m
}

// leave ends all registries of a process.
func (p *process) leave() {
	for _, m := range p.members {
		p.destroy(m)
	}
	p.members = nil
	maps.Copy(p.left, p.persistent)
}

func (p *process) destroy(m *member) {
	for slot, u := range m.registered {
		if !u.GetParamBool("dynamic", true) { // Destroy is to leave it there
			p.try("unregister", m.registry.UnRegister(u))
			delete(m.registered, slot)
		}
	}
	m.registry.Destroy()
	for _, s := range m.subscribed {
		s.recorder.Close()
		p.ended = append(p.ended, s.recorder)
	}
}

// live does one thing after the other until stop is closed.
func (p *process) live(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(p.random.IntN(80)) * time.Millisecond):
		}
		m := p.members[p.random.IntN(len(p.members))]
		switch n := p.random.IntN(100); {
		case n < 40:
			p.register(m)
		case n < 60:
			p.unregister(m)
		case n < 80:
			p.subscribe(m)
		case n < 95:
			p.unsubscribe(m)
		case n < 98:
			p.log("%d destroys a registry and makes another", m.number)
			p.destroy(m)
			*m = *p.newMember(m.number)
			p.log("%d has another registry", m.number)
		default:
			p.log("restarts")
			p.leave()
			p.enter()
			p.log("has restarted")
		}
	}
}

// register registers a provider, or one that is registered with other
// parameters. The two registries of a process may register the same one.
func (p *process) register(m *member) {
	service := services[p.random.IntN(len(services))]
	address := fmt.Sprintf("10.0.%d.%d:20000", p.number, p.random.IntN(perService))
	slot := service + " " + address
	params := []string{"process", strconv.Itoa(p.number), "weight", strconv.Itoa(1 + p.random.IntN(4))}
	if p.random.IntN(5) == 0 {
		params = append(params, "timestamp", strconv.Itoa(1_700_000_000+p.random.IntN(3))) // the first is what others have
	}
	if persistent(service, address) {
		params = append(params, "dynamic", "false")
	}
	u := testkit.Provider(service, address, params...)
	p.log("%d registers %s", m.number, factOf(u).version())
	m.registered[slot] = u
	if f := factOf(u); f.dynamic == "false" {
		p.persistent[f.version()] = true
	}
	p.try("register", m.registry.Register(u))
}

// persistent says which providers have no lease: a provider that is registered
// again keeps what it had.
func persistent(service, address string) bool {
	return service == services[1] && strings.HasSuffix(address, ".1:20000")
}

func (p *process) unregister(m *member) {
	for slot, u := range m.registered { // whichever comes first
		p.log("%d unregisters %s", m.number, factOf(u).version())
		delete(m.registered, slot)
		p.try("unregister", m.registry.UnRegister(u))
		return
	}
}

func (p *process) subscribe(m *member) {
	if len(m.subscribed) >= 6 {
		return
	}
	p.count++
	s := &subscription{service: services[p.random.IntN(len(services))]}
	switch p.random.IntN(6) {
	case 0:
		s.service = "*"
		s.url = testkit.Consumer("*", "group", "*", "version", "*", "enabled", "*")
		s.url.Protocol = "admin"
	case 1:
		s.url = testkit.Consumer(s.service, "category", "providers,configurators")
	default:
		s.url = testkit.Consumer(s.service)
	}
	s.recorder = newRecorder(fmt.Sprintf("listener %d.%d.%d to %s", p.number, m.number, p.count, s.service))
	s.recorder.byKey = s.service == "*"
	if p.random.IntN(4) == 0 {
		s.recorder.Slow = time.Duration(p.random.IntN(20)) * time.Millisecond
	}
	p.log("%s subscribes", s.recorder.Name)
	m.subscribed = append(m.subscribed, s)
	if p.random.IntN(3) > 0 {
		p.try("load", m.registry.LoadSubscribeInstances(s.url, s.recorder))
	}
	p.try("subscribe", m.registry.Subscribe(s.url, s.recorder))
}

func (p *process) unsubscribe(m *member) {
	if len(m.subscribed) == 0 {
		return
	}
	i := p.random.IntN(len(m.subscribed))
	s := m.subscribed[i]
	p.try("unsubscribe", m.registry.UnSubscribe(s.url, s.recorder))
	s.recorder.Close()
	p.log("%s has unsubscribed", s.recorder.Name)
	m.subscribed = append(m.subscribed[:i:i], m.subscribed[i+1:]...)
	p.ended = append(p.ended, s.recorder)
}

// recorders returns all that listened in this round.
func (p *process) recorders() []*recorder {
	all := p.ended
	for _, m := range p.members {
		for _, s := range m.subscribed {
			all = append(all, s.recorder)
		}
	}
	return all
}

func (p *process) log(format string, args ...any) {
	p.chaos.journal.Add("process %d: %s", p.number, fmt.Sprintf(format, args...))
}

// try notes an error: while etcd is away there is to be none.
func (p *process) try(what string, err error) {
	if err != nil {
		p.problem("%s: %v", what, err)
	}
}

func (p *process) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("process %d: %s", p.number, fmt.Sprintf(format, args...)))
	p.log("PROBLEM: "+format, args...)
}
