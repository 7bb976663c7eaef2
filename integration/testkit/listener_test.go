// SPDX-License-Identifier: Apache-2.0

package testkit_test

import (
	"fmt"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func event(action remoting.EventType, i int) *registry.ServiceEvent {
	return &registry.ServiceEvent{Action: action, Service: testkit.Provider("org.a.Greeter", testkit.Address(i))}
}

func TestListenerKnowsWhatItWasTold(t *testing.T) {
	t.Parallel()
	l := &testkit.Listener{}
	l.Notify(event(remoting.EventTypeAdd, 2))
	l.Notify(event(remoting.EventTypeAdd, 1))
	l.Notify(event(remoting.EventTypeUpdate, 1))
	l.RequireAddresses(t, testkit.Address(1), testkit.Address(2))
	l.Notify(event(remoting.EventTypeDel, 2))
	ended := false
	l.NotifyAll([]*registry.ServiceEvent{event(remoting.EventTypeAdd, 3)}, func() { ended = true })
	l.RequireAddresses(t, testkit.Address(3))
	assert.True(t, ended)

	lists, singles := l.Counts()
	assert.Equal(t, 1, lists)
	assert.Equal(t, []string{"add 10.0.0.2:20000", "add 10.0.0.1:20000", "update 10.0.0.1:20000", "delete 10.0.0.2:20000"}, singles)
	assert.Equal(t, []string{testkit.Address(1), testkit.Address(2)}, testkit.Addresses(l.TakeGone()))
	assert.Empty(t, l.TakeGone(), "they are taken")
}

func TestEventsThatMakeNoSenseAreFaults(t *testing.T) {
	t.Parallel()
	for want, tell := range map[string]func(*testkit.Listener){
		"x: add of what is known":        func(l *testkit.Listener) { l.Notify(event(remoting.EventTypeAdd, 1)) },
		"x: update of what is unknown":   func(l *testkit.Listener) { l.Notify(event(remoting.EventTypeUpdate, 2)) },
		"x: delete of what is unknown":   func(l *testkit.Listener) { l.Notify(event(remoting.EventTypeDel, 2)) },
		"x: called after its end":        func(l *testkit.Listener) { l.Close(); l.Notify(event(remoting.EventTypeUpdate, 1)) },
		"x: it ended while a call":       func(l *testkit.Listener) { l.Enter(); l.Close() },
		"x: a call was under way":        func(l *testkit.Listener) { l.Enter(); l.Close(); l.TakeFaults(); l.Leave() },
		"x: called by two goroutines at": func(l *testkit.Listener) { l.Enter(); l.Notify(event(remoting.EventTypeUpdate, 1)) },
		"x: delete in a list: tri://10.0": func(l *testkit.Listener) {
			l.NotifyAll([]*registry.ServiceEvent{event(remoting.EventTypeDel, 1)}, func() {})
		},
	} {
		l := &testkit.Listener{}
		l.Name = "x"
		l.Notify(event(remoting.EventTypeAdd, 1))
		require.Empty(t, l.TakeFaults())
		tell(l)
		assert.Contains(t, fmt.Sprint(l.TakeFaults()), want)
		assert.Empty(t, l.TakeFaults(), "they are taken")
	}
}

func TestACallThatPanicsEnds(t *testing.T) {
	t.Parallel()
	l := &testkit.Listener{OnNotify: func(*registry.ServiceEvent) { panic("expected") }}
	assert.Panics(t, func() { l.Notify(event(remoting.EventTypeAdd, 1)) })
	told := &testkit.Told{During: func() { panic("expected") }}
	assert.Panics(t, func() { told.Tell("one") })
	l.OnNotify, told.During = nil, nil
	l.Notify(event(remoting.EventTypeAdd, 1))
	l.RequireAddresses(t, testkit.Address(1))
	told.Tell("two")
	told.RequireLast(t, "two")
	assert.Equal(t, []string{"one", "two"}, told.All())
}

func TestWaitingEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	looks := 0
	took, ok := testkit.Poll(50*time.Millisecond, time.Millisecond, func() bool { looks++; return false })
	assert.False(t, ok)
	assert.GreaterOrEqual(t, took, 50*time.Millisecond)
	assert.Greater(t, looks, 1)
	_, ok = testkit.Within(0, func() bool { return true })
	assert.True(t, ok, "it looks once at least")
}

func TestTheUserIsNoParameter(t *testing.T) {
	t.Parallel()
	u := testkit.ServiceURL("tri", "org.a.Greeter", "10.0.0.1:1", testkit.As("shop", testkit.Password, "a", "b")...)
	assert.Equal(t, "shop", u.Username)
	assert.Equal(t, testkit.Password, u.Password)
	assert.Equal(t, "b", u.GetParam("a", ""))
	assert.Len(t, u.GetParams(), 2, "and the interface: %v", u.GetParams())
}
