// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// checkSpread is the time over which the processes that were cut off together
// spread their questions when they are back.
const checkSpread = 500 * time.Millisecond

// Check finds out whether etcd is still the store that the mirrors were read
// from. It is to be called when watches go over a new stream, before what comes
// over it is read; it returns at once, and the work is done in the background.
//
// A store that was emptied, or restored from a backup, counts its revisions
// from an earlier one again. A watch then waits in silence for a revision that
// is in the future, or, if the new store has passed it, goes on in another
// history. One question tells: whether etcd, at the revision up to which each
// mirror has followed it, had as many keys as the mirror has, and the last change
// just there. If it had not, everything is listed again.
func (h *Hub) Check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := map[*mirror]known{}
	for _, m := range h.mirrors {
		if k := m.known(); k.revision > 0 { // else nothing has been read yet
			known[m] = k
		}
	}
	if len(known) == 0 {
		return
	}
	h.next = append(h.next, known)
	if h.checking {
		return
	}
	h.checking = true
	h.goLocked(func() {
		retry.Sleep(h.ctx, rand.N(checkSpread))
		for known, ok := h.nextCheck(); ok; known, ok = h.nextCheck() {
			h.compare(known)
		}
	})
}

func (h *Hub) nextCheck() (next map[*mirror]known, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.next) == 0 || h.ctx.Err() != nil {
		h.checking, h.next = false, nil
		return nil, false
	}
	next, h.next = h.next[0], h.next[1:]
	return next, true
}

// known is what a store that is the same must have had under a prefix.
type known struct {
	revision int64      // up to which it was followed
	count    int64      // keys, then
	last     lastChange // empty: no key is known
	begun    int        // listings, then
}

// compare has everything listed again unless etcd is the store it was.
func (h *Hub) compare(k map[*mirror]known) {
	var same bool
	err := retry.Do(h.ctx, h.cfg.Backoff, func(ctx context.Context) (err error) {
		same, err = h.sameHistory(ctx, k)
		return err
	})
	switch {
	case h.ctx.Err() != nil || err == nil && same:
		return
	case err != nil:
		logger.Warnf("[etcdv3] cannot find out whether etcd is still the store it was, listing %d prefix(es) again: %v", len(k), err)
	default:
		logger.Warnf("[etcdv3] etcd has another history than before (it was emptied, or restored from a backup): listing %d prefix(es) again", len(k))
	}
	for m, known := range k {
		m.restart(known)
	}
}

// comparedAtOnce keeps a transaction, with three operations a prefix, below
// etcd's --max-txn-ops of 128.
const comparedAtOnce = 40

// sameHistory reports whether etcd had, at the revision up to which it was
// followed, what was known then. A prefix of which that can not be told any more
// is listed again; one that has been is what etcd is now.
func (h *Hub) sameHistory(ctx context.Context, k map[*mirror]known) (bool, error) {
	maps.DeleteFunc(k, func(m *mirror, k known) bool { return m.listedSince(k) })
	for mirrors := range slices.Chunk(slices.Collect(maps.Keys(k)), comparedAtOnce) {
		same, err := h.sameUnder(ctx, mirrors, k)
		if retry.Compacted(err) {
			same, err = h.sameWhereNotCompacted(ctx, mirrors, k)
		}
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (h *Hub) sameWhereNotCompacted(ctx context.Context, mirrors []*mirror, k map[*mirror]known) (bool, error) {
	for _, m := range mirrors {
		switch same, err := h.sameUnder(ctx, []*mirror{m}, k); {
		case retry.Compacted(err):
			m.restart(k[m])
		case err != nil || !same:
			return false, err
		}
	}
	return true, nil
}

// sameUnder asks for the number of keys under each prefix, and for the last
// change: a key that was put is there with that revision; one that was deleted
// is not, and was in the revision before.
func (h *Hub) sameUnder(ctx context.Context, mirrors []*mirror, k map[*mirror]known) (bool, error) {
	client, err := h.cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	var (
		ops    []clientv3.Op
		expect []func(*etcdserverpb.RangeResponse) bool
		ask    = func(key string, rev int64, ok func(*etcdserverpb.RangeResponse) bool, opts ...clientv3.OpOption) {
			ops = append(ops, clientv3.OpGet(key, append(opts, clientv3.WithRev(rev), clientv3.WithKeysOnly())...))
			expect = append(expect, ok)
		}
	)
	for _, m := range mirrors {
		known := k[m]
		last := known.last
		ask(m.prefix, known.revision, counts(known.count), clientv3.WithPrefix(), clientv3.WithCountOnly())
		switch {
		case last.key == "":
		case last.deleted:
			ask(last.key, last.at, counts(0))
			ask(last.key, last.at-1, counts(1))
		default:
			ask(last.key, known.revision, func(r *etcdserverpb.RangeResponse) bool {
				return len(r.Kvs) == 1 && r.Kvs[0].ModRevision == last.at
			})
		}
	}
	response, err := client.Txn(ctx).Then(ops...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrFutureRev):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("compare %d prefix(es) with what is known: %w", len(mirrors), err)
	}
	for i, r := range response.Responses {
		if !expect[i](r.GetResponseRange()) {
			return false, nil
		}
	}
	return true, nil
}

func counts(n int64) func(*etcdserverpb.RangeResponse) bool {
	return func(r *etcdserverpb.RangeResponse) bool { return r.Count == n }
}
