// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// list reads all keys, in pages, at one revision; as many as the limits of the hub
// allow.
func (m *mirror) list(client *clientv3.Client) error {
	select {
	case r := <-m.relists: // of what this listing is for
		if !m.listedSince(r.fingerprint) {
			m.note(r)
		}
	default:
	}
	m.beginListing()
	l := listing{mirror: m}
	end := clientv3.GetPrefixRangeEnd(m.prefix)
	page, revision, err := m.firstPage(client, end)
	for err == nil {
		if err = l.add(page.Kvs); err != nil || !page.More || len(page.Kvs) == 0 || l.over {
			break
		}
		page, err = m.page(client, l.last+"\x00", end, revision)
	}
	if err != nil {
		return fmt.Errorf("list %s: %w%s", m.prefix, err, rights.ToPrefix(rights.Read, m.prefix, err))
	}
	m.pageSize = min(2*m.pageSize, m.hub.cfg.PageSize)
	var leave time.Duration
	if m.otherStore || m.compacted && !m.isContinuedBy(l.keys) {
		leave = m.hub.session()
	}
	m.replace(l.keys, revision, leave)
	m.patient = m.untilDropped()
	m.stale, m.otherStore, m.compacted = false, false, false
	if m.isDoubted() {
		m.hub.checkListing(m)
	}
	if l.over {
		m.exceed()
	} else {
		m.setPartial(false)
	}
	return nil
}

// listing is the pages of one listing.
type listing struct {
	*mirror
	keys  map[string]entry
	last  string // key that came; empty: none has
	bytes int64
	over  bool // there are more than the limits allow
}

// add takes in a page. What answers with other keys than it was asked for could go
// on with that for ever.
func (l *listing) add(kvs []*mvccpb.KeyValue) error {
	if l.keys == nil {
		l.keys = make(map[string]entry, len(kvs))
	}
	for _, kv := range kvs {
		key, now := l.entryOf(kv)
		if key <= l.last || !strings.HasPrefix(key, l.prefix) {
			return status.Error(codes.Internal, "what answers as etcd is none, or is broken: it lists other keys than it was asked for")
		}
		l.last = key
		l.bytes += now.size(key)
		if l.over = l.hub.cfg.exceeded(len(l.keys)+1, l.bytes); l.over {
			return nil
		}
		l.keys[key] = now
	}
	return nil
}

// firstPage reads the first keys, at the revision of the snapshot that the mirror
// is part of, or else the present one.
func (m *mirror) firstPage(client *clientv3.Client, end string) (page *clientv3.GetResponse, revision int64, err error) {
	if m.together != nil {
		release, err := m.together.take(m.ctx)
		if err != nil {
			return nil, 0, err
		}
		if revision = m.together.revision; revision != 0 {
			release()
		} else {
			defer func() {
				m.together.revision = revision
				release()
			}()
		}
	}
	page, err = m.page(client, m.prefix, end, revision)
	if revision != 0 && (retry.Compacted(err) || errors.Is(err, rpctypes.ErrFutureRev)) {
		revision = 0 // it took too long, or is of another store
		page, err = m.page(client, m.prefix, end, revision)
	}
	if err == nil && revision == 0 {
		revision = page.Header.Revision
	}
	return page, revision, err
}

// page reads some keys. If that takes longer than a request may, or they are more
// than an answer may have, they may be too many for it: the next attempt asks for
// fewer.
func (m *mirror) page(client *clientv3.Client, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(m.ctx, m.hub.cfg.Timeout)
	defer cancel()
	opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(m.pageSize)}
	if m.keysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	page, err := client.Get(ctx, from, opts...)
	if err != nil && (ctx.Err() != nil || status.Code(err) == codes.ResourceExhausted) {
		m.pageSize = max(m.pageSize/4, 1)
	}
	return page, err
}

// begin ends the first attempt to list, and waits for those that are to begin
// with the same revision: nobody is to see one of them changed and another one
// not.
func (m *mirror) begin() {
	if m.together == nil {
		return
	}
	together := m.together
	m.together = nil
	if together.pending.Add(-1) == 0 {
		close(together.tried)
	}
	select {
	case <-together.tried:
	case <-m.ctx.Done():
	}
}

// snapshot is what several mirrors are first listed at, and begin with: the
// revision at which etcd answered one of them first.
type snapshot struct {
	turn     chan struct{} // has a value while one of them asks
	revision int64         // 0: it is not known; for who has the turn
	pending  atomic.Int32  // those that have not tried to list
	tried    chan struct{} // closed when all have
}

func newSnapshot() *snapshot {
	return &snapshot{turn: make(chan struct{}, 1), tried: make(chan struct{})}
}

// take waits for the turn.
func (s *snapshot) take(ctx context.Context) (release func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
