// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"reflect"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// restAfter is how long nothing happens under a prefix until its mirror rests.
const restAfter = time.Second

// roomFor is how many mirrors one goroutine waits for. It costs as many steps when
// the first thing happens to one of them.
const roomFor = 64

// resting are the mirrors of a hub to which nothing has happened for a while. Each
// watch is a channel, and a process may have thousands, of which hardly any has
// something: so one goroutine waits for many, and has whom something happens to run
// in a goroutine of its own again.
type resting struct {
	hub   *Hub
	after time.Duration // nothing has happened

	mu    sync.Mutex // guards what follows
	rooms []*room
}

// room is some of them.
type room struct {
	*resting
	changed chan struct{} // a value: there are come or called

	// Guarded by resting.mu.
	size   int // with those who have come
	come   []*mirror
	called []*mirror

	// What follows belongs to run.
	cases   []reflect.SelectCase // the first one is changed
	mirrors []*mirror            // by their case
}

// received is what came over a watch; ok is false if it is closed.
type received struct {
	response clientv3.WatchResponse
	ok       bool
}

// enter has a mirror rest, unless there is something for it. Its goroutine has to
// end then.
func (r *resting) enter(m *mirror) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.isCalled() {
		return false
	}
	i := slices.IndexFunc(r.rooms, func(some *room) bool { return some.size < roomFor })
	if i < 0 {
		i = len(r.rooms)
		some := &room{resting: r, changed: make(chan struct{}, 1), mirrors: []*mirror{nil}}
		some.cases = []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(some.changed)}}
		r.rooms = append(r.rooms, some)
		r.hub.running.Go(some.run) // it is called by one of them
	}
	m.room = r.rooms[i]
	m.room.size++
	m.room.come = append(m.room.come, m)
	delivery.Signal(m.room.changed)
	return true
}

// call has a mirror that rests look what there is for it.
func (r *resting) call(m *mirror) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.room != nil {
		m.room.called = append(m.room.called, m)
		delivery.Signal(m.room.changed)
	}
}

// run waits until nobody is there any more. Who is called when the hub ends has its
// context ended, as all others have.
func (r *room) run() {
	for {
		i, response, ok := reflect.Select(r.cases)
		if i == 0 {
			r.letIn()
		} else {
			m := r.mirrors[i]
			m.watching.next = &received{response.Interface().(clientv3.WatchResponse), ok}
			r.mu.Lock()
			r.leaveLocked(m)
			r.mu.Unlock()
		}
		if r.isOver() {
			return
		}
	}
}

// letIn waits for those who have come, too, and lets go who was called.
func (r *room) letIn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.come {
		r.mirrors = append(r.mirrors, m)
		r.cases = append(r.cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(m.watching.events)})
	}
	for _, m := range r.called {
		if m.room == r {
			r.leaveLocked(m)
		}
	}
	r.come, r.called = nil, nil
}

func (r *room) leaveLocked(m *mirror) {
	i, last := slices.Index(r.mirrors, m), len(r.mirrors)-1
	r.mirrors[i], r.cases[i] = r.mirrors[last], r.cases[last]
	r.mirrors[last], r.cases[last] = nil, reflect.SelectCase{}
	r.mirrors, r.cases = r.mirrors[:last], r.cases[:last]
	r.size--
	m.room = nil
	r.hub.running.Go(m.run)
}

func (r *room) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size > 0 {
		return false
	}
	r.rooms = slices.DeleteFunc(r.rooms, func(some *room) bool { return some == r })
	return true
}
