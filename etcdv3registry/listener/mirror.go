// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// errWatchEnded is a watch whose channel was closed without a reason.
var errWatchEnded = errors.New("the watch ended")

// errRestart ends a watch that is to be preceded by a new listing.
var errRestart = errors.New("etcd has another history than before")

// restartSpread is the time over which new listings are spread.
const restartSpread = time.Second

// mirror keeps the store of one prefix equal to etcd: list, then watch from
// that revision, and again from where it was when the watch breaks.
type mirror struct {
	*store
	hub    *Hub
	users  int // feeds that are open, guarded by Hub.mu
	ctx    context.Context
	cancel context.CancelFunc

	restarts chan known // a value has the keys listed again, soon, unless they were listed since

	// What follows belongs to run.
	another bool             // the next listing is of another store
	patient <-chan time.Time // when what the other store had is dropped
}

func newMirror(h *Hub, prefix string) *mirror {
	ctx, cancel := context.WithCancel(h.ctx)
	return &mirror{store: newStore(prefix), hub: h, ctx: ctx, cancel: cancel, restarts: make(chan known, 1)}
}

func (m *mirror) open() *Feed {
	f := m.store.open()
	f.release = func() { m.hub.release(m) }
	return f
}

// run ends with the context of the mirror.
func (m *mirror) run() {
	defer m.cancel()
	defer m.hub.works(m)
	var schedule backoff.BackOff // while it does not work
	for {
		err := m.follow(func() {
			if schedule != nil {
				m.fail(nil)
				m.hub.works(m)
			}
			schedule = nil
		})
		if m.ctx.Err() != nil {
			return
		}
		wait := time.Duration(0)
		switch {
		case retry.Compacted(err):
			logger.Infof("[etcdv3] etcd has compacted its history since the last event under %s, listing it again", m.prefix)
			m.setStale()
		case errors.Is(err, errRestart):
			m.another = true
			wait = rand.N(restartSpread) // every process that watches this etcd does the same now
		default:
			if schedule == nil {
				schedule = m.hub.cfg.Backoff.BackOff()
			}
			wait = schedule.NextBackOff()
			m.fail(err)
			m.hub.fails(m, err)
		}
		if !retry.Sleep(m.ctx, wait) {
			return
		}
	}
}

// follow lists if it has to, and watches until the watch breaks; working is
// called when etcd has answered.
func (m *mirror) follow(working func()) error {
	client, err := m.hub.cfg.Dial(m.ctx)
	if err != nil {
		return err
	}
	if m.isStale() {
		if err := m.list(client); err != nil {
			return err
		}
		working()
	}
	return m.watch(client, working)
}

// list reads all keys of the prefix, in pages, at one revision.
func (m *mirror) list(client *clientv3.Client) error {
	var (
		keys     = map[string]value{}
		revision int64
		from     = m.prefix
		end      = clientv3.GetPrefixRangeEnd(m.prefix)
	)
	m.beginListing()
	for more := true; more; {
		page, err := m.page(client, from, end, revision)
		if err != nil {
			return fmt.Errorf("list %s: %w", m.prefix, err)
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		for _, kv := range page.Kvs {
			keys[string(kv.Key)] = valueOf(kv)
		}
		if more = page.More && len(page.Kvs) > 0; more {
			from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		}
	}
	m.replace(keys, revision, m.another)
	m.another = false
	if m.hasLeft() && m.patient == nil {
		m.patient = time.After(m.hub.cfg.Session)
	}
	return nil
}

func (m *mirror) page(client *clientv3.Client, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(m.ctx, m.hub.cfg.Timeout)
	defer cancel()
	return client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(m.hub.cfg.PageSize))
}

// watch applies what happens after the revision of the store. Where nothing
// happens etcd says so now and then: without that the revision would stay what it
// is until etcd has compacted it, and everything would be listed again when the
// connection is lost.
func (m *mirror) watch(client *clientv3.Client, working func()) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	events := client.Watch(ctx, m.prefix, clientv3.WithPrefix(), clientv3.WithRev(m.revision()+1),
		clientv3.WithFragment(), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
	for {
		select {
		case k := <-m.restarts:
			if m.listedSince(k) {
				continue
			}
			m.setStale()
			return errRestart
		case <-m.patient:
			m.patient = nil
			m.dropLeft()
		case response, ok := <-events:
			if !ok {
				return fmt.Errorf("watch %s: %w", m.prefix, errWatchEnded)
			}
			if err := response.Err(); err != nil {
				return fmt.Errorf("watch %s: %w", m.prefix, err)
			}
			working()
			if response.IsProgressNotify() {
				m.advance(response.Header.Revision)
			}
			if n := len(response.Events); n > 0 {
				// The header may be ahead of what has been sent: the last event counts.
				m.apply(response.Events, response.Events[n-1].Kv.ModRevision)
			}
		}
	}
}

// restart has the keys listed again, unless that was begun since they were what
// is known.
func (m *mirror) restart(k known) {
	for {
		select {
		case m.restarts <- k:
			return
		case <-m.restarts: // an older one
		}
	}
}

// value is what is known of a key.
type value struct {
	bytes   []byte
	created int64 // revision of its creation
	changed int64 // revision of its last change
}

func valueOf(kv *mvccpb.KeyValue) value {
	return value{bytes: kv.Value, created: kv.CreateRevision, changed: kv.ModRevision}
}
