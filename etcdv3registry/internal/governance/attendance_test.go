// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/cluster/router/chain"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// picky is a directory that leaves out whom it cannot connect to.
type picky struct {
	shelf
	chain router.Chain

	mu      sync.Mutex // guards what follows
	has     map[string]*common.URL
	refuses map[string]bool // addresses
	told    int
}

func newPicky(refuses ...string) *picky {
	p := &picky{chain: &chain.RouterChain{}, has: map[string]*common.URL{}, refuses: map[string]bool{}}
	for _, address := range refuses {
		p.refuses[address] = true
	}
	return p
}

func (p *picky) RouterChain() router.Chain         { return p.chain }
func (p *picky) SetRouterChain(other router.Chain) { p.chain = other }

func (p *picky) Notify(e *registry.ServiceEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told++
	p.takeLocked(e)
	p.routeLocked()
}

func (p *picky) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.has)
	for _, e := range events {
		p.takeLocked(e)
	}
	p.routeLocked()
}

func (p *picky) takeLocked(e *registry.ServiceEvent) {
	if e.Action == remoting.EventTypeDel {
		delete(p.has, e.Key())
	} else if !p.refuses[e.Service.Location] {
		p.has[e.Key()] = e.Service
	}
}

func (p *picky) routeLocked() {
	var all []base.Invoker
	for _, u := range p.has {
		all = append(all, base.NewBaseInvoker(u))
	}
	p.chain.SetInvokers(all)
}

func (p *picky) accept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.refuses)
}

// end removes all, as dubbo-go does with who says that he is about to stop.
func (p *picky) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.has)
	p.routeLocked()
}

func (p *picky) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.has)
}

// attended is a reference that is attended to, and told again what it was told.
func attended(t *testing.T, p *picky, of *common.URL, providers ...*common.URL) registry.NotifyListener {
	t.Helper()
	r, a := NewReference(of, p, true)
	events := map[string]*common.URL{}
	var mu sync.Mutex // as the worker of a subscription has: one call at a time
	list := make([]*registry.ServiceEvent, 0, len(providers))
	for _, u := range providers {
		events[u.Location] = u
		list = append(list, delivery.Event(remoting.EventTypeAdd, u.Location, u.Clone()))
	}
	a.Start(func(ids []string) {
		go func() {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				r.Notify(delivery.Event(remoting.EventTypeAdd, id, events[id].Clone()))
			}
		}()
	})
	t.Cleanup(a.Close)
	mu.Lock()
	defer mu.Unlock()
	r.NotifyAll(list, func() {})
	return r
}

// serving is a provider at an address.
func serving(address string) *common.URL {
	ip, port, _ := strings.Cut(address, ":")
	return urltest.URL("tri", ip, port, urltest.Greeter, constant.InterfaceKey, urltest.Greeter)
}

// reachable is a provider whose address accepts connections.
func reachable(t *testing.T) *common.URL {
	t.Helper()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listening.Close() })
	return serving(listening.Addr().String())
}

func unreachable(t *testing.T) *common.URL {
	t.Helper()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listening.Close())
	return serving(listening.Addr().String())
}

func TestWhomTheDirectoryCouldNotConnectToIsToldAgainUntilItHasHim(t *testing.T) {
	t.Parallel()
	well, late := reachable(t), reachable(t)
	p := newPicky(late.Location)
	attended(t, p, urltest.Consumer(), well, late)
	require.Equal(t, 1, p.size())
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.told > 1 }, 30*time.Second, 5*time.Millisecond, "more than once")
	p.accept()
	require.Eventually(t, func() bool { return p.size() == 2 }, 30*time.Second, 5*time.Millisecond)
}

func TestWhomTheDirectoryHasEndedByItselfIsToldAgain(t *testing.T) {
	t.Parallel()
	p := newPicky()
	attended(t, p, urltest.Consumer(), reachable(t), reachable(t))
	require.Equal(t, 2, p.size())
	p.end()
	require.Eventually(t, func() bool { return p.size() == 2 }, 30*time.Second, 5*time.Millisecond)
}

func TestWhoCannotBeReachedOrIsGoneIsNotToldAgain(t *testing.T) {
	t.Parallel()
	gone, away := reachable(t), unreachable(t)
	synctest.Test(t, func(t *testing.T) {
		p := newPicky(gone.Location, away.Location)
		r := attended(t, p, urltest.Consumer(), gone, away)
		r.Notify(delivery.Event(remoting.EventTypeDel, gone.Location, gone.Clone()))
		time.Sleep(time.Minute) // in which it is looked, and tried some times
		assert.Equal(t, 1, p.told, "that he is gone")
	})
}

func TestNobodyIsMissedOfAnotherProtocolOrDisabled(t *testing.T) {
	t.Parallel()
	other, disabled := reachable(t), reachable(t)
	other.Protocol = constant.DubboProtocol
	disabled.SetParam("disabled", "true")
	of := urltest.Consumer()
	require.NotEqual(t, other.Protocol, of.Protocol)
	r, a := NewReference(of, newPicky(other.Location), true)
	a.Start(func([]string) {})
	defer a.Close()
	var list []*registry.ServiceEvent
	for _, u := range []*common.URL{other, disabled} {
		list = append(list, delivery.Event(remoting.EventTypeAdd, u.Location, u))
	}
	r.NotifyAll(list, func() {})
	missing, all := a.missing()
	assert.Empty(t, missing)
	assert.Zero(t, all)
}

func TestWhatCannotBeLookedIntoIsNotAttendedTo(t *testing.T) {
	t.Parallel()
	_, a := NewReference(urltest.Consumer(), &shelf{}, true)
	assert.Nil(t, a, "a directory without a chain")
	for _, group := range []string{"*", "a,b"} {
		_, a = NewReference(urltest.Consumer(constant.GroupKey, group), newPicky(), true)
		assert.Nil(t, a, "the invokers of group %s are one", group)
	}
	p := newPicky()
	_, a = NewReference(urltest.Consumer(), p, false)
	assert.Nil(t, a, "somebody may be using its chain")
	assert.IsType(t, &chain.RouterChain{}, p.chain)
	a.Close()
}

// Who was missing has gone just when he was to be tried, and another one is missing.
func TestATryThatFindsNobodyMissingIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	first, second := serving("10.0.0.1:20000"), serving("10.0.0.2:20000")
	_, a := NewReference(urltest.Consumer(), newPicky(), true)
	event := func(u *common.URL) *registry.ServiceEvent {
		return delivery.Event(remoting.EventTypeAdd, u.Location, u)
	}
	a.tells(event(first))
	a.look()
	require.NotNil(t, a.trying)
	a.forgets(event(first))
	a.try()
	require.Nil(t, a.trying)
	a.tells(event(second))
	a.look()
	assert.NotNil(t, a.trying, "he is tried, too")
	a.Start(func([]string) {})
	a.Close()
}

// It ends while somebody is being dialled.
func TestClosingAnAttendanceEndsWhatItDoes(t *testing.T) {
	t.Parallel()
	silent := serving("192.0.2.1:20000") // for documentation: nobody answers
	p := newPicky(silent.Location)
	_, a := NewReference(urltest.Consumer(), p, true)
	told := make(chan []string, 1)
	a.Start(func(ids []string) { told <- ids })
	a.tellsAll([]*registry.ServiceEvent{delivery.Event(remoting.EventTypeAdd, "silent", silent)})
	a.changed()
	require.Eventually(t, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.trying != nil }, 30*time.Second, time.Millisecond)
	a.runner.Add(try)
	a.Close()
	a.changed()
	assert.Empty(t, told)
	assert.True(t, slices.Equal(a.chain.Invokers(), []base.Invoker(nil)))
	assert.IsType(t, &invokers.Chain{}, p.chain)
}
