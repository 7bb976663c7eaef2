// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// A View says what the keys under a prefix mean to one subscription. Read and ID
// may be called from several goroutines at once, the others are called from one at a
// time: the subscription's, or that of a caller of Load or LoadCached.
type View struct {
	// Read returns the URL that the key stands for, made for this call: the
	// listener may change it. It returns nil for a key that the subscription is
	// not about, and an error for one that cannot be read, which is skipped with
	// one warning. With both, the URL is used, and the error says what of it is not.
	Read func(key string) (*common.URL, error)
	// ID tells which keys stand for the same thing, one of them being a later
	// version of the other: the listener is told of the one created last. The
	// listener sees the ID as the key of its events.
	ID func(key string, u *common.URL) string
	// Cache keeps what the listener was told beyond the life of the process.
	// Nil: nothing does.
	Cache Cache
	// KeepLast tells the keys of which the listener keeps the last that it was
	// told when all of them are gone, until there is one again. Nil: it keeps none.
	KeepLast func(key string) bool
	// Unmatched is called when there are new keys that the subscription is not about:
	// some of them, and what the listener knows. Nil: nobody wants to know.
	Unmatched func(others []string, told iter.Seq[string])
	// Whole tells the URLs of which no change can be told by itself: the listener
	// is told the complete list. Nil: there are none.
	Whole func(u *common.URL) bool
}

// A Cache is what a subscription falls back on while etcd has not answered.
// Keys are those of etcd. Its methods must not block for long.
type Cache interface {
	// Load returns the keys that were saved last, by this process or another one;
	// ok is false if there are none.
	Load() (keys []string, ok bool)
	// Save is called when etcd has been read, even if the listener knew all that
	// was there, and with every change; it may call keys later, from any goroutine,
	// or not at all.
	Save(keys func() []string)
}

// Subscription delivers what a feed has to one framework listener, serially.
// It is made by Hub.Subscribe.
type Subscription struct {
	feed     *Feed
	view     View
	listener registry.NotifyListener
	worker   *delivery.Worker

	// What follows is guarded by the worker's deliveries.
	saved  bool // the cache has been given what etcd has
	things map[digest]thing
	cached map[string]bool // keys out of the cache that etcd has not confirmed yet
	held   []touched       // that the listener was not told of, by View.KeepLast
	others []string        // some keys that were read last, and that the subscription is not about

	mu    sync.Mutex          // guards again
	again map[string]struct{} // IDs of which the listener is to be told again
}

// Subscribe opens prefixes for a listener, as OpenKeys does. Nothing is delivered
// before Load or Start.
func (h *Hub) Subscribe(prefixes []string, view View, l registry.NotifyListener) *Subscription {
	s := &Subscription{feed: h.OpenKeys(prefixes...), view: view, listener: l, things: map[digest]thing{}}
	s.worker = delivery.NewWorker(s.feed, delivery.Reader{
		Name: s.feed.name(), Update: s.update, Again: func() { s.tellAll(s.list(), nil) }, Some: s.tellSome, Cached: s.loadCached,
	})
	return s
}

// Load waits until etcd has been read, and delivers what is there before it
// returns, on the caller's goroutine. Errors are those of Feed.Ready.
func (s *Subscription) Load(ctx context.Context) error {
	if err := s.feed.Ready(ctx); err != nil {
		return err
	}
	s.worker.Update()
	return nil
}

// LoadCached delivers what the cache has, if nothing has been delivered yet and
// etcd does not refuse to be read, and reports whether it had something. What etcd
// has, when it answers, is delivered as the difference to it.
func (s *Subscription) LoadCached() bool { return s.worker.Cached() }

// Start delivers in the background from now on, until Close: what there is,
// unless Load has delivered it already, and then every change. If etcd has not
// answered after patience, it delivers what the cache has. Further calls do
// nothing.
func (s *Subscription) Start(patience time.Duration) { s.worker.Start(patience) }

// Again has the listener told the complete list that it knows once more, in the
// background, after Start and a first delivery.
func (s *Subscription) Again() { s.worker.Again() }

// TellAgain has the listener told once more of some IDs of the View, each as an addition,
// in the background, after Start and a first delivery: it may not have taken them in.
// Those of which it does not know are left out.
func (s *Subscription) TellAgain(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worker.Closed() {
		return
	}
	if s.again == nil {
		s.again = make(map[string]struct{}, len(ids))
	}
	for _, id := range ids {
		s.again[id] = struct{}{}
	}
	s.worker.Some()
}

// tellSome tells the listener again of one ID, which may take it seconds: what has changed
// is not to wait for all of them.
func (s *Subscription) tellSome() {
	id, more := s.nextAgain()
	if more {
		defer s.worker.Some()
	}
	key := s.things[digestOf(id)].told()
	if key == "" {
		return
	}
	for _, m := range s.view.readAll([]Change{{Key: key}}) {
		if m.url != nil {
			s.notify(delivery.Event(remoting.EventTypeAdd, m.id, m.url))
		}
	}
}

func (s *Subscription) nextAgain() (id string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id = range s.again {
		delete(s.again, id)
		break
	}
	return id, len(s.again) > 0
}

// Close ends the subscription: once it has returned the listener is not told
// anything any more. It waits for a call of the listener that is under way,
// unless it is called from inside a delivery, to this listener or another:
// waiting there might never end. It may be called more than once.
func (s *Subscription) Close() { s.worker.Close() }

// loadCached tells the listener what the cache has, if anything.
func (s *Subscription) loadCached() bool {
	if s.view.Cache == nil || s.feed.refused() {
		return false
	}
	keys, ok := s.view.Cache.Load()
	if !ok {
		return false
	}
	s.cached = make(map[string]bool, len(keys))
	changes := make([]Change, 0, len(keys))
	for _, key := range keys {
		s.cached[key] = true
		changes = append(changes, Change{Key: key})
	}
	s.tell(s.digest(changes))
	return true
}

// update tells the listener what changed in etcd since the last delivery.
func (s *Subscription) update() {
	changes := s.feed.Take()
	if s.cached != nil {
		changes = append(changes, s.unconfirmed(changes)...)
		s.cached = nil
	}
	events, complete := s.digest(changes)
	s.tell(events, complete)
	if s.view.Unmatched != nil && len(s.others) > 0 {
		s.view.Unmatched(s.others, s.known())
	}
	if s.view.Cache != nil && (!s.saved || len(events) > 0) {
		s.saved = true
		keys := s.keys()
		s.view.Cache.Save(func() []string { return keys })
	}
}

// unconfirmed returns the keys out of the cache that the first listing does
// not have, as deleted.
func (s *Subscription) unconfirmed(listing []Change) []Change {
	for _, c := range listing {
		delete(s.cached, c.Key)
	}
	var gone []Change
	for key := range s.cached {
		gone = append(gone, Change{Key: key, Deleted: true})
	}
	return gone
}

// keys returns what the listener was told of.
func (s *Subscription) keys() []string {
	return slices.AppendSeq(make([]string, 0, len(s.things)), s.known())
}

// known is keys, as far as they are looked at.
func (s *Subscription) known() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, t := range s.things {
			if key := t.told(); key != "" && !yield(key) {
				return
			}
		}
	}
}

// tell passes on events, as a list if it is the first time, or there are many,
// or one of them asks for it.
func (s *Subscription) tell(events []*registry.ServiceEvent, complete bool) {
	switch {
	case s.worker.Delivered() && len(events) <= notifyAllAbove && !s.asksForAll(events):
		for _, e := range events {
			s.notify(e)
		}
	case complete:
		s.tellAll(events, events)
	default:
		s.tellAll(s.list(), events)
	}
}

// asksForAll reports whether one of some events cannot be told by itself.
func (s *Subscription) asksForAll(events []*registry.ServiceEvent) bool {
	return s.view.Whole != nil && slices.ContainsFunc(events, func(e *registry.ServiceEvent) bool { return s.view.Whole(e.Service) })
}

// tellAll tells the listener the complete list, which some events have led to. One that
// it panics over is told one by one: it panics over the culprit only. Those that have
// not changed are told, too: they may come after the culprit, and a rule that has
// changed is one for them.
func (s *Subscription) tellAll(list, events []*registry.ServiceEvent) {
	if s.notifyAll(list) {
		return
	}
	for _, e := range events {
		if e.Action == remoting.EventTypeDel {
			s.notify(e)
		}
	}
	for _, e := range s.list() {
		s.notify(e)
	}
}

// list is everything that the listener is told of, in the order of creation: of rules
// that contradict each other the last one counts.
func (s *Subscription) list() []*registry.ServiceEvent {
	all := make([]Change, 0, len(s.things))
	for _, t := range s.things {
		if key := t.told(); key != "" {
			all = append(all, Change{Key: key, Created: t.createdAt(key)})
		}
	}
	all = sorted(all, byCreation)
	events := make([]*registry.ServiceEvent, 0, len(all))
	for i, m := range s.view.readAll(all) {
		s.skip(all[i].Key, m.err)
		if m.url != nil {
			events = append(events, delivery.Event(remoting.EventTypeAdd, m.id, m.url))
		}
	}
	return events
}

// notifyAll tells the listener a complete list. It reports false if the listener
// panicked.
func (s *Subscription) notifyAll(list []*registry.ServiceEvent) bool {
	return delivery.Call(s.feed.name(), "a list", func() { s.listener.NotifyAll(list, func() {}) })
}

func (s *Subscription) notify(e *registry.ServiceEvent) {
	if !s.worker.Closed() {
		delivery.Call(s.feed.name(), e.Key(), func() { s.listener.Notify(e) })
	}
}
