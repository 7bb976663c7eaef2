// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// errWatchEnded is a watch whose channel was closed without a reason.
var errWatchEnded = errors.New("the watch ended")

// errRelist ends a watch that is to be preceded by a new listing.
var errRelist = errors.New("the keys are to be listed again")

// settled is how long a watch has to last to have been one.
const settled = 10 * time.Second

// comingBack is how soon one attempt may follow another as etcd seems to be back.
const comingBack = 100 * time.Millisecond

// relistSpread is the time over which new listings are spread.
const relistSpread = time.Second

// errResting has a mirror run on when something happens.
var errResting = errors.New("nothing has happened for a while")

// mirror keeps a store equal to etcd: list, then watch from
// that revision, and again from where it was when the watch breaks.
type mirror struct {
	*store
	hub    *Hub
	users  int // feeds that are open, guarded by Hub.mu
	ctx    context.Context
	cancel context.CancelFunc
	room   *room // where it rests, guarded by resting.mu; nil: it runs

	relists chan relist // a value has the keys listed again, soon, unless they were listed since

	// What follows belongs to run.
	stale      bool             // it has to be listed, for the first time or again
	otherStore bool             // the next listing is of another store
	compacted  bool             // the next listing may be: what happened since is not known
	pageSize   int64            // of a listing
	together   *snapshot        // that the first listing is of; nil: it was tried
	patient    <-chan time.Time // when something of what another store had is dropped
	moved      bool             // to another stream, on which etcd has not answered yet
	watching   *watching        // nil: there is no watch
	schedule   backoff.BackOff  // since the last progress
	failing    bool
	vain       int // how often it worked, and failed at once, since then

	// Since follow began anew:
	watched    time.Time       // when that was
	worked     bool            // etcd has answered
	progressed bool            // there was something new
	back       <-chan struct{} // closed when etcd seems to be back
}

func newMirror(h *Hub, what mirrored, together *snapshot) *mirror {
	ctx, cancel := context.WithCancel(h.ctx)
	m := &mirror{store: newStore(what), stale: true, together: together, hub: h, ctx: ctx, cancel: cancel, pageSize: h.cfg.PageSize, relists: make(chan relist, 1)}
	context.AfterFunc(ctx, m.call)
	return m
}

// run ends with the context of the mirror, or when it rests: then it is called
// again when there is something for it.
func (m *mirror) run() {
	for {
		err := m.follow()
		switch {
		case errors.Is(err, errResting):
			return
		case m.ctx.Err() != nil || !m.pause(m.failed(err)):
			m.end()
			return
		}
	}
}

// pause waits, unless etcd seems to be back before that: that is worth an attempt, but
// not one after another. It returns false when the mirror has ended.
func (m *mirror) pause(wait time.Duration) bool {
	if !m.failing {
		return retry.Sleep(m.ctx, wait)
	}
	ctx, cancel := context.WithTimeout(m.ctx, wait)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-m.back:
		_ = retry.Sleep(ctx, max(rand.N(comingBack), time.Until(m.watched.Add(comingBack))))
	}
	return m.ctx.Err() == nil
}

func (m *mirror) end() {
	m.skipped.end()
	m.hub.works(m)
	m.begin() // if it has not even tried
	m.cancel()
}

// failed notes why follow has ended, and returns when it is to begin anew.
func (m *mirror) failed(err error) (wait time.Duration) {
	if m.worked {
		m.vain++
	}
	if m.succeeded() {
		m.schedule, m.vain = nil, 0
	}
	switch {
	case errors.Is(err, errRelist):
		return rand.N(relistSpread) // every process that watches this etcd does the same now
	case errors.Is(err, errMoved): // at once
		return 0
	case retry.Compacted(err):
		logger.Infof("[etcdv3] etcd has compacted its history since the last event under %s, listing it again", m.prefix)
		m.stale, m.compacted = true, true
		m.hub.counts.relisted(reasonCompacted)
		if m.schedule == nil { // at once
			m.schedule = m.hub.cfg.Backoff.BackOff()
			return 0
		}
	default:
		m.failing = true
		m.fail(err)
		m.hub.fails(m, err)
		if m.schedule == nil {
			m.schedule = m.hub.cfg.Backoff.BackOff()
		}
	}
	return m.schedule.NextBackOff()
}

// answered notes that etcd has answered.
func (m *mirror) answered() {
	m.worked = true
	if !m.failing {
		return
	}
	m.fail(nil)
	if m.vain <= 3 || m.succeeded() {
		m.failing = false
		m.hub.works(m)
	}
}

// succeeded reports whether follow has done what it is for.
func (m *mirror) succeeded() bool { return m.progressed || time.Since(m.watched) > settled }

// follow lists if it has to, and watches until the watch breaks, or nothing
// happens: it goes on with that watch then.
func (m *mirror) follow() error {
	if m.watching == nil {
		m.watched, m.worked, m.progressed = time.Now(), false, false
		m.back = m.hub.back()
		client, err := m.hub.cfg.Dial(m.ctx)
		if err == nil && m.stale {
			if err = m.list(client); err == nil {
				m.answered()
			}
		}
		m.begin()
		if err != nil {
			return err
		}
		m.watching = m.watch(client)
	}
	err := m.hear()
	if !errors.Is(err, errResting) {
		m.watching.cancel()
		m.watching = nil
	}
	return err
}

// watching is a watch.
type watching struct {
	ctx     context.Context
	cancel  context.CancelFunc
	on      *stream
	created chan clientv3.WatchChan
	events  clientv3.WatchChan // nil: it has not been created yet
	next    *received          // while the mirror was resting; nil: nothing
}

// watch begins to watch, from the revision of the store on.
func (m *mirror) watch(client *clientv3.Client) *watching {
	w := &watching{on: m.hub.stream(), created: make(chan clientv3.WatchChan, 1)}
	w.ctx, w.cancel = context.WithCancel(m.ctx)
	m.hub.goUntilClose(func() { w.created <- m.create(w.ctx, client, w.on) })
	return w
}

// call has it look what there is for it, should it be resting.
func (m *mirror) call() { m.hub.resting.call(m) }

// isCalled reports whether there is something besides what comes over the watch.
func (m *mirror) isCalled() bool {
	select {
	case <-m.ctx.Done():
	case <-m.watching.on.over:
	default:
		return len(m.relists) > 0
	}
	return true
}

// hear applies what comes over the watch.
func (m *mirror) hear() error {
	w := m.watching
	if next := w.next; next != nil {
		w.next = nil
		if err := m.receive(*next); err != nil {
			return err
		}
	}
	rest := m.hub.resting.after
	quiet := time.NewTimer(rest)
	defer quiet.Stop()
	for {
		select {
		case <-w.ctx.Done(): // cut off from etcd, the client closes no channel then
			return w.ctx.Err()
		case r := <-m.relists:
			if m.listedSince(r.fingerprint) {
				continue
			}
			m.note(r)
			m.stale = true
			m.hub.counts.relisted(r.reason())
			return errRelist
		case <-w.on.over:
			return errMoved
		case <-m.patient:
			m.dropRetained()
			m.patient = m.untilDropped()
			if err := m.listLeftOut(); err != nil {
				return err
			}
		case w.events = <-w.created:
		case response, ok := <-w.events:
			if err := m.receive(received{response, ok}); err != nil {
				return err
			}
			quiet.Reset(rest)
		case <-quiet.C:
			if w.events != nil && m.patient == nil && m.hub.resting.enter(m) {
				return errResting
			}
			quiet.Reset(rest)
		}
	}
}

// receive applies what happened after the revision of the store. Where nothing
// happens etcd says so now and then: without that the revision would stay what it
// is until etcd has compacted it, and everything would be listed again when the
// connection is lost.
func (m *mirror) receive(r received) error {
	response := r.response
	if !r.ok {
		return fmt.Errorf("watch %s: %w", m.prefix, errWatchEnded)
	}
	if err := response.Err(); err != nil {
		if m.hub.moves(m.watching.on, err) && !m.moved {
			m.moved = true // if it is refused again, the stream's age is not the reason
			return errMoved
		}
		return fmt.Errorf("watch %s: %w%s", m.prefix, err, rights.ToPrefix(rights.Read, m.prefix, err))
	}
	m.moved = false
	m.answered()
	if response.IsProgressNotify() {
		m.progressed = true
		m.advance(response.Header.Revision)
	}
	if len(response.Events) > 0 {
		return m.takeIn(response.Events)
	}
	return nil
}

// takeIn applies events, as far as the limits of the hub allow.
func (m *mirror) takeIn(events []*clientv3.Event) error {
	for _, e := range events {
		if !strings.HasPrefix(string(e.Kv.Key), m.prefix) {
			return fmt.Errorf("watch %s: what answers as etcd is none, or is broken: it tells of other keys", m.prefix)
		}
	}
	before := m.revision()
	if over := m.apply(events, m.hub.cfg.exceeded); over {
		m.exceed()
	}
	m.progressed = m.progressed || m.revision() > before
	return m.listLeftOut()
}

// create returns a watch on a stream, when etcd has it; it ends with ctx.
//
// A watch of which the context ends while it is being created is one that etcd
// keeps and that its client has forgotten: it is cancelled when it has been
// created, however long that takes.
func (m *mirror) create(ctx context.Context, client *clientv3.Client, on *stream) clientv3.WatchChan {
	watching, cancel := context.WithCancel(on.ctx)
	events := client.Watch(watching, m.prefix, clientv3.WithPrefix(), clientv3.WithRev(m.revision()+1),
		clientv3.WithFragment(), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify()) // returns when it has been created
	context.AfterFunc(ctx, cancel)
	return events
}

// A relist has the keys listed again, unless that was begun since they were
// what is known.
type relist struct {
	fingerprint
	otherStore bool // it is another store: what it lacks is left for a while; else etcd has compacted
}

// note notes what the next listing is for.
func (m *mirror) note(r relist) {
	m.otherStore = m.otherStore || r.otherStore
	m.compacted = m.compacted || !r.otherStore
}

func (m *mirror) requestRelist(r relist) {
	defer m.call()
	for {
		select {
		case m.relists <- r:
			return
		case older := <-m.relists:
			r.otherStore = r.otherStore || older.otherStore
		}
	}
}
