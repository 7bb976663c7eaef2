// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// modelListener is told of several applications.
type modelListener struct {
	registry.ServiceInstancesChangedListener // the rest of it is not called

	d    *Discovery
	h    *history
	name string

	calls      atomic.Int32 // that are under way
	ended      atomic.Bool  // it was removed, and that has returned
	afterwards atomic.Int32 // what it was told since

	mu    sync.Mutex // guards what follows
	names map[string]bool
	known map[string]string // by application, as the rest
	told  map[string]bool   // by an event
	again map[string]int    // how often it may be told the same
	gate  chan struct{}     // nil: it does not wait
	habit habit
}

// habit is what a listener does when it is told something.
type habit int

const (
	listens habit = iota
	returnsErrors
	panicsToo
	leaves // removes itself
	lastHabit
)

// onPurpose is why a listener fails or panics.
const onPurpose = "this is on purpose"

func (l *modelListener) GetServiceNames() *gxset.HashSet {
	all := gxset.NewSet()
	for app := range l.apps() {
		all.Add(app)
	}
	return all
}

// apps are the applications that it names, as long as it listens.
func (l *modelListener) apps() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.Load() {
		return nil
	}
	return maps.Clone(l.names)
}

func (l *modelListener) OnEvent(e observer.Event) error {
	if l.ended.Load() {
		l.afterwards.Add(1)
	}
	assert.EqualValues(l.h.t, 1, l.calls.Add(1), "%s is told two things at a time", l.name)
	defer l.calls.Add(-1)
	event := e.(*registry.ServiceInstancesChangedEvent)
	app, now := event.ServiceName, toldOf(event.Instances)
	for _, i := range event.Instances {
		assert.Equal(l.h.t, app, i.GetServiceName())
	}
	l.mu.Lock()
	assert.True(l.h.t, l.names[app], "%s is told of %s", l.name, app)
	if l.told[app] && l.known[app] == now && !l.h.keepLast { // else they may have been gone meanwhile
		l.again[app]--
		assert.GreaterOrEqual(l.h.t, l.again[app], 0, "%s is told of %s again: %s", l.name, app, now)
	}
	l.known[app], l.told[app] = now, true
	gate, habit := l.gate, l.habit
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	for _, i := range event.Instances {
		i.GetMetadata()["changed by"] = l.name // they are its own
	}
	switch habit {
	case returnsErrors:
		return errors.New(onPurpose)
	case panicsToo:
		panic(onPurpose)
	case leaves:
		l.d.RemoveListener(l)
		l.ended.Store(true)
	}
	return nil
}

// hesitate has it wait in what it is told, until release.
func (l *modelListener) hesitate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate == nil {
		l.gate = make(chan struct{})
	}
}

func (l *modelListener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate != nil {
		close(l.gate)
		l.gate = nil
	}
}

// waits reports whether it waits, when it is told something.
func (l *modelListener) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gate != nil
}

// mayBeToldAgain is called when overrides change.
func (l *modelListener) mayBeToldAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, app := range apps {
		l.again[app]++
	}
}

func (l *modelListener) check(all map[string]*truth) {
	names := l.apps()
	l.mu.Lock()
	defer l.mu.Unlock()
	for app := range names {
		if l.gate != nil || l.h.keepLast && len(all[app].instances) == 0 {
			continue
		}
		known, ever := l.known[app]
		assert.True(l.h.t, ever, "%s knows of %s", l.name, app)
		assert.Equal(l.h.t, all[app].told(), known, "what %s knows of %s", l.name, app)
	}
}

// ending runs what ends listeners, which waits for those that are being told
// something: those are let go a moment later.
func ending(end func(), all ...*modelListener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		end()
	}()
	for range 20 {
		runtime.Gosched()
	}
	for _, l := range all {
		l.release()
	}
	<-done
	for _, l := range all {
		l.ended.Store(true)
	}
}

// remove ends a listener.
func (h *history) remove(n int) {
	l := h.listeners[n]
	ending(func() { l.d.RemoveListener(l) }, l)
	h.listeners = slices.Delete(h.listeners, n, n+1)
	h.left = append(h.left, l)
}

// removeAside is remove, while other things happen.
func (h *history) removeAside(n int) {
	l := h.listeners[n]
	l.release()
	h.aside.Go(func() {
		l.d.RemoveListener(l)
		l.ended.Store(true)
	})
	h.listeners = slices.Delete(h.listeners, n, n+1)
	h.left = append(h.left, l)
}

// follow adds a listener, which has asked before or not.
func (h *history) follow(d *Discovery, asks bool, habit habit, names ...string) {
	l := &modelListener{
		d: d, h: h, name: fmt.Sprintf("listener %d", len(h.listeners)+len(h.left)), names: map[string]bool{},
		known: map[string]string{}, told: map[string]bool{}, again: map[string]int{}, habit: habit,
	}
	h.do("%s listens to %v, asks before: %v, habit %d", l.name, names, asks, habit)
	h.listeners = append(h.listeners, l)
	h.name(l, asks, names...)
}

// name has a listener name more applications.
func (h *history) name(l *modelListener, asks bool, names ...string) {
	for _, app := range names {
		if l.apps()[app] {
			continue
		}
		if asks {
			h.ask(l.d, app)
		}
		l.mu.Lock()
		l.names[app] = true
		if before, ever := h.asked[l.d][app]; ever { // whoever has asked
			l.known[app] = before
		}
		l.mu.Unlock()
	}
	require.NoError(h.t, l.d.AddListener(l))
}

// ask has the instances of an application returned.
func (h *history) ask(d *Discovery, app string) {
	instances := d.GetInstances(app)
	for _, i := range instances {
		assert.Equal(h.t, app, i.GetServiceName())
		i.GetMetadata()["changed by"] = "who asked"
	}
	if h.asked[d] == nil {
		h.asked[d] = map[string]string{}
	}
	h.asked[d][app] = toldOf(instances)
	if h.isWell(time.Minute) {
		assert.Equal(h.t, h.truth()[app].told(), h.asked[d][app], "what is returned of %s", app)
	}
}
