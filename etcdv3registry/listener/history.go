// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
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
	var all []fingerprint
	for _, m := range h.mirrors {
		if k, ok := m.fingerprint(); ok {
			k.mirror = m
			all = append(all, k)
		}
	}
	if len(all) == 0 {
		return
	}
	h.goLocked(func() {
		retry.Sleep(h.ctx, rand.N(checkSpread))
		h.comparing.Lock()
		defer h.comparing.Unlock()
		h.compare(all)
	})
}

// fingerprint is what a store that is the same must have had under a prefix.
type fingerprint struct {
	mirror   *mirror
	prefix   string
	revision int64      // up to which it was followed
	count    int64      // keys, then; negative: not all were mirrored
	last     lastChange // empty: no key is known
	begun    int        // listings, then
}

// compare has everything listed again unless etcd is the store it was.
func (h *Hub) compare(all []fingerprint) {
	var same bool
	err := retry.Do(h.ctx, h.cfg.Backoff, func(ctx context.Context) (err error) {
		same, err = h.sameHistory(ctx, all)
		return err
	})
	switch {
	case h.ctx.Err() != nil || err == nil && same:
		return
	case err != nil:
		logger.Warnf("[etcdv3] cannot find out whether etcd is still the store it was, listing %d prefix(es) again: %v", len(all), err)
	default:
		logger.Warnf("[etcdv3] etcd has another history than before (it was emptied, or restored from a backup): listing %d prefix(es) again", len(all))
	}
	for _, k := range all {
		k.mirror.requestRelist(relist{fingerprint: k, otherStore: true})
	}
}

// comparedAtOnce is how many prefixes are asked about one by one if etcd has
// compacted the history of one of them.
const comparedAtOnce = 40

// sameHistory reports whether etcd had, at the revision up to which it was
// followed, what was known then. A prefix of which that can not be told any more
// is listed again, as its watch does when it hears of the compaction; one that
// has been listed since is what etcd is now.
func (h *Hub) sameHistory(ctx context.Context, all []fingerprint) (bool, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(k fingerprint) bool { return k.mirror.listedSince(k) })
	for some := range slices.Chunk(all, comparedAtOnce) {
		same, err := h.sameUnder(ctx, some)
		if retry.Compacted(err) {
			same, err = h.sameWhereNotCompacted(ctx, some)
		}
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (h *Hub) sameWhereNotCompacted(ctx context.Context, some []fingerprint) (bool, error) {
	for _, k := range some {
		switch same, err := h.sameUnder(ctx, []fingerprint{k}); {
		case retry.Compacted(err):
			k.mirror.requestRelist(relist{fingerprint: k})
		case err != nil || !same:
			return false, err
		}
	}
	return true, nil
}

// question is what a store that is the same answers in one way only.
type question struct {
	get    clientv3.Op
	expect func(*etcdserverpb.RangeResponse) bool
}

// questions ask for the number of keys under the prefix, and for the last change:
// a key that was put is there with that revision; one that was deleted is not,
// and was in the revision before.
func (k fingerprint) questions() []question {
	ask := func(key string, rev int64, expect func(*etcdserverpb.RangeResponse) bool, opts ...clientv3.OpOption) question {
		return question{clientv3.OpGet(key, append(opts, clientv3.WithRev(rev), clientv3.WithKeysOnly())...), expect}
	}
	var all []question
	if k.count >= 0 {
		all = append(all, ask(k.prefix, k.revision, counts(k.count), clientv3.WithPrefix(), clientv3.WithCountOnly()))
	}
	switch last := k.last; {
	case last.key == "":
		return all
	case last.deleted:
		return append(all, ask(last.key, last.at, counts(0)), ask(last.key, last.at-1, counts(1)))
	default:
		return append(all, ask(last.key, k.revision, func(r *etcdserverpb.RangeResponse) bool {
			return len(r.Kvs) == 1 && r.Kvs[0].ModRevision == last.at
		}))
	}
}

func counts(n int64) func(*etcdserverpb.RangeResponse) bool {
	return func(r *etcdserverpb.RangeResponse) bool { return r.Count == n }
}

// sameUnder asks in as few transactions as etcd takes: what it is asked for is
// of revisions that are over, whenever it is asked.
func (h *Hub) sameUnder(ctx context.Context, some []fingerprint) (bool, error) {
	var all []question
	for _, k := range some {
		all = append(all, k.questions()...)
	}
	for len(all) > 0 {
		n := min(len(all), h.cfg.Limits.Ops())
		same, err := h.answered(ctx, all[:n])
		if h.cfg.Limits.Learn(err, n, 0) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("compare %d prefix(es) with what they had: %w", len(some), err)
		}
		if !same {
			return false, nil
		}
		all = all[n:]
	}
	return true, nil
}

// answered reports whether etcd answers as it is expected to.
func (h *Hub) answered(ctx context.Context, questions []question) (bool, error) {
	client, err := h.cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	ops := make([]clientv3.Op, len(questions))
	for i, q := range questions {
		ops[i] = q.get
	}
	response, err := client.Txn(ctx).Then(ops...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrFutureRev):
		return false, nil
	case err != nil:
		return false, err
	}
	for i, r := range response.Responses {
		if !questions[i].expect(r.GetResponseRange()) {
			return false, nil
		}
	}
	return true, nil
}
