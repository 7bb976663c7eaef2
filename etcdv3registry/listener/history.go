// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dubbogo/gost/log/logger"
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
// history. One question tells: whether the key that changed last, of all keys
// known, has that change in etcd's history. If it does not, everything is listed
// again.
func (h *Hub) Check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.knownLocked()
	if known.revision == 0 {
		return // nothing has been read yet
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

func (h *Hub) nextCheck() (next known, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.next) == 0 || h.ctx.Err() != nil {
		h.checking, h.next = false, nil
		return known{}, false
	}
	next, h.next = h.next[0], h.next[1:]
	return next, true
}

// known is what a store that is the same must have.
type known struct {
	last     lastChange // empty: no key is known
	prefix   string
	revision int64 // what the store has reached
	mirrors  []*mirror
}

func (h *Hub) knownLocked() known {
	var k known
	for _, m := range h.mirrors {
		last, revision := m.newest()
		if last.at > k.last.at {
			k.last = last
		}
		k.revision = max(k.revision, revision)
		k.prefix = m.prefix
		k.mirrors = append(k.mirrors, m)
	}
	return k
}

// compare has everything listed again unless etcd is the store it was.
func (h *Hub) compare(k known) {
	var same bool
	err := retry.Do(h.ctx, h.cfg.Backoff, func(ctx context.Context) (err error) {
		same, err = h.sameHistory(ctx, k)
		return err
	})
	switch {
	case h.ctx.Err() != nil || err == nil && same:
		return
	case err != nil:
		logger.Warnf("[etcdv3] cannot find out whether etcd is still the store it was, listing %d prefix(es) again: %v", len(k.mirrors), err)
	default:
		logger.Warnf("[etcdv3] etcd has another history than before (it was emptied, or restored from a backup): listing %d prefix(es) again", len(k.mirrors))
	}
	for _, m := range k.mirrors {
		m.restart()
	}
}

// sameHistory reports whether etcd has reached the revision, and has the last
// change where it is known to be.
func (h *Hub) sameHistory(ctx context.Context, k known) (bool, error) {
	client, err := h.cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	key := k.last.key
	if key == "" {
		key = k.prefix // nothing but the revision is to be compared
	}
	now, err := client.Get(ctx, key, clientv3.WithKeysOnly())
	switch {
	case err != nil:
		return false, fmt.Errorf("read %s: %w", key, err)
	case now.Header.Revision < k.revision:
		return false, nil
	case k.last.key == "", !k.last.deleted && changedAt(now, k.last.at):
		return true, nil
	}
	// Changed since, or deleted: what was it then? A deleted key was there until
	// the revision before.
	then, err := client.Get(ctx, key, clientv3.WithKeysOnly(), clientv3.WithRev(k.last.at))
	if err == nil && k.last.deleted && len(then.Kvs) == 0 {
		then, err = client.Get(ctx, key, clientv3.WithKeysOnly(), clientv3.WithRev(k.last.at-1))
		return err == nil && len(then.Kvs) == 1, untold(err)
	}
	return err == nil && !k.last.deleted && changedAt(then, k.last.at), untold(err)
}

// untold drops the errors after which the history cannot be told any more:
// that is as good as another one.
func untold(err error) error {
	if retry.Compacted(err) || errors.Is(err, rpctypes.ErrFutureRev) {
		return nil
	}
	return err
}

func changedAt(r *clientv3.GetResponse, revision int64) bool {
	return len(r.Kvs) == 1 && r.Kvs[0].ModRevision == revision
}
