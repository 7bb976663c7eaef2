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

// relistSpread is the time over which new listings are spread.
const relistSpread = time.Second

// mirror keeps a store equal to etcd: list, then watch from
// that revision, and again from where it was when the watch breaks.
type mirror struct {
	*store
	hub    *Hub
	users  int // feeds that are open, guarded by Hub.mu
	ctx    context.Context
	cancel context.CancelFunc

	relists chan relist // a value has the keys listed again, soon, unless they were listed since

	// What follows belongs to run.
	stale      bool             // it has to be listed, for the first time or again
	otherStore bool             // the next listing is of another store
	pageSize   int64            // of a listing
	together   *snapshot        // that the first listing is of; nil: it was tried
	patient    <-chan time.Time // when what the other store had is dropped
	moved      bool             // to another stream, on which etcd has not answered yet
	progressed bool             // follow has brought something new
	watched    time.Time        // when follow began
}

func newMirror(h *Hub, what mirrored, together *snapshot) *mirror {
	ctx, cancel := context.WithCancel(h.ctx)
	return &mirror{store: newStore(what), stale: true, together: together, hub: h, ctx: ctx, cancel: cancel, pageSize: h.cfg.PageSize, relists: make(chan relist, 1)}
}

// run ends with the context of the mirror.
func (m *mirror) run() {
	defer m.cancel()
	defer m.begin() // if it has not even tried
	defer m.hub.works(m)
	defer m.skipped.end()
	var (
		schedule backoff.BackOff // since the last progress
		failing  bool
		vain     int // how often it worked, and failed at once, since then
	)
	for {
		worked := false
		err := m.follow(func() {
			worked = true
			if !failing {
				return
			}
			m.fail(nil)
			if vain <= 3 || m.succeeded() {
				failing = false
				m.hub.works(m)
			}
		})
		if m.ctx.Err() != nil {
			return
		}
		if worked {
			vain++
		}
		if m.succeeded() {
			schedule, vain = nil, 0
		}
		wait := time.Duration(0)
		switch {
		case errors.Is(err, errRelist):
			wait = rand.N(relistSpread) // every process that watches this etcd does the same now
		case errors.Is(err, errMoved): // at once
		case retry.Compacted(err):
			logger.Infof("[etcdv3] etcd has compacted its history since the last event under %s, listing it again", m.prefix)
			m.stale = true
			m.hub.counts.relisted(reasonCompacted)
			if schedule == nil { // at once
				schedule = m.hub.cfg.Backoff.BackOff()
			} else {
				wait = schedule.NextBackOff()
			}
		default:
			failing = true
			m.fail(err)
			m.hub.fails(m, err)
			if schedule == nil {
				schedule = m.hub.cfg.Backoff.BackOff()
			}
			wait = schedule.NextBackOff()
		}
		if !retry.Sleep(m.ctx, wait) {
			return
		}
	}
}

// succeeded reports whether follow has done what it is for.
func (m *mirror) succeeded() bool { return m.progressed || time.Since(m.watched) > settled }

// follow lists if it has to, and watches until the watch breaks; working is
// called when etcd has answered.
func (m *mirror) follow(working func()) error {
	m.progressed, m.watched = false, time.Now()
	client, err := m.hub.cfg.Dial(m.ctx)
	if err == nil && m.stale {
		if err = m.list(client); err == nil {
			working()
		}
	}
	m.begin()
	if err != nil {
		return err
	}
	return m.watch(client, working)
}

// watch applies what happens after the revision of the store. Where nothing
// happens etcd says so now and then: without that the revision would stay what it
// is until etcd has compacted it, and everything would be listed again when the
// connection is lost.
func (m *mirror) watch(client *clientv3.Client, working func()) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	on := m.hub.stream()
	created := make(chan clientv3.WatchChan, 1)
	m.hub.goUntilClose(func() { created <- m.create(ctx, client, on) })
	var events clientv3.WatchChan
	for {
		select {
		case <-ctx.Done(): // cut off from etcd, the client closes no channel then
			return ctx.Err()
		case r := <-m.relists:
			if m.listedSince(r.fingerprint) {
				continue
			}
			m.otherStore = m.otherStore || r.otherStore
			m.stale = true
			m.hub.counts.relisted(r.reason())
			return errRelist
		case <-on.over:
			return errMoved
		case <-m.patient:
			m.patient = nil
			m.dropRetained()
		case events = <-created:
		case response, ok := <-events:
			if !ok {
				return fmt.Errorf("watch %s: %w", m.prefix, errWatchEnded)
			}
			if err := response.Err(); err != nil {
				if m.hub.moves(on, err) && !m.moved {
					m.moved = true // if it is refused again, the stream's age is not the reason
					return errMoved
				}
				return fmt.Errorf("watch %s: %w%s", m.prefix, err, rights.ToPrefix(rights.Read, m.prefix, err))
			}
			m.moved = false
			working()
			if response.IsProgressNotify() {
				m.progressed = true
				m.advance(response.Header.Revision)
			}
			if len(response.Events) > 0 {
				if err := m.takeIn(response.Events); err != nil {
					return err
				}
			}
		}
	}
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
	if m.hasRoom(m.hub.cfg.exceeded) {
		m.stale = true
		m.hub.counts.relisted(reasonLimits)
		return errRelist // what was left out is not known
	}
	return nil
}

// exceed notes that not all keys are mirrored.
func (m *mirror) exceed() {
	if !m.setPartial(true) {
		logger.Errorf("[etcdv3] there is more under %s than this process mirrors (%d keys, %d MiB): what is beyond that is left out", m.prefix, m.hub.cfg.MaxKeys, m.hub.cfg.MaxBytes>>20)
	}
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
	otherStore bool // it is another store: what it lacks is left for a while
}

func (m *mirror) requestRelist(r relist) {
	for {
		select {
		case m.relists <- r:
			return
		case older := <-m.relists:
			r.otherStore = r.otherStore || older.otherStore
		}
	}
}
