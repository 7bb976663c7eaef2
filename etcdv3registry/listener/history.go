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
// over it is read, as StreamInterceptor does; it returns at once, and the work is done
// in the background.
//
// A store that was emptied, or restored from a backup, counts its revisions
// from an earlier one again. A watch then waits in silence for a revision that
// is in the future, or, if the new store has passed it, goes on in another
// history. One question tells: whether etcd, at the revision up to which each
// mirror has followed it, had as many keys as the mirror has, and the last change
// just there. If it had not, everything is listed again. What is being listed, of which
// the store before may have answered a part, is asked about when that is over.
func (h *Hub) Check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []fingerprint
	for _, m := range h.mirrors {
		m.doubt()
		if k, ok := m.fingerprint(); ok {
			k.mirror = m
			all = append(all, k)
		}
	}
	if len(all) > 0 {
		h.next = append(h.next, all)
		h.checkLocked()
	}
}

// checkListing has one mirror compared, with those that wait for that.
func (h *Hub) checkListing(m *mirror) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, _ := m.fingerprint()
	k.mirror = m
	if len(h.next) == 0 {
		h.next = append(h.next, nil)
	}
	last := &h.next[len(h.next)-1]
	*last = append(*last, k)
	h.checkLocked()
}

func (h *Hub) checkLocked() {
	if h.checking {
		return
	}
	h.checking = true
	h.goLocked(func() {
		retry.Sleep(h.ctx, rand.N(checkSpread))
		h.check()
	})
}

// check compares until nothing is left to compare. What etcd does not let this user
// ask for is asked for again: to list it would be refused as well, and end a watch
// that etcd still lets go on.
func (h *Hub) check() {
	var refused []fingerprint
	schedule := h.cfg.Backoff.BackOff()
	for {
		all := h.nextCheck(len(refused) > 0)
		switch {
		case all != nil:
		case len(refused) == 0 || !retry.Sleep(h.ctx, schedule.NextBackOff()):
			return
		default:
			all, refused = refused, nil
		}
		for _, k := range h.compare(all) {
			if !slices.ContainsFunc(refused, func(r fingerprint) bool { return r.mirror == k.mirror }) {
				refused = append(refused, k)
			}
		}
	}
}

// nextCheck returns what is to be compared next; nil: nothing, and the check ends
// unless it goes on by itself.
func (h *Hub) nextCheck(goesOn bool) (next []fingerprint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.next) == 0 || h.ctx.Err() != nil {
		h.checking, h.next = goesOn, nil
		return nil
	}
	next, h.next = h.next[0], h.next[1:]
	return next
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

// compare has everything listed again unless etcd is the store it was. It returns
// what etcd does not let this user ask for.
func (h *Hub) compare(all []fingerprint) (refused []fingerprint) {
	var same bool
	err := retry.Do(h.ctx, h.cfg.Backoff, func(ctx context.Context) (err error) {
		same, refused, err = h.sameHistory(ctx, all)
		return err
	})
	switch {
	case h.ctx.Err() != nil || err == nil && same:
		return refused
	case retry.NotLetIn(err):
		return all
	case err != nil:
		logger.Warnf("[etcdv3] cannot find out whether etcd is still the store it was, listing %d prefix(es) again: %v", len(all), err)
	default:
		logger.Warnf("[etcdv3] etcd has another history than before (it was emptied, or restored from a backup): listing %d prefix(es) again", len(all))
	}
	h.counts.otherHistory()
	for _, k := range all {
		k.mirror.requestRelist(relist{fingerprint: k, otherStore: true})
	}
	return nil
}

// comparedAtOnce is how many prefixes are asked about one by one if etcd has
// compacted the history of one of them, or does not let this user ask for one.
const comparedAtOnce = 40

// sameHistory reports whether etcd had, at the revision up to which it was
// followed, what was known then. A prefix of which that can not be told any more
// is listed again, as its watch does when it hears of the compaction; one that
// has been listed since is what etcd is now.
func (h *Hub) sameHistory(ctx context.Context, all []fingerprint) (same bool, refused []fingerprint, err error) {
	all = slices.DeleteFunc(slices.Clone(all), func(k fingerprint) bool { return k.mirror.listedSince(k) || k.mirror.ctx.Err() != nil })
	all = append(all, changedSince(all)...)
	for some := range slices.Chunk(all, comparedAtOnce) {
		same, err := h.sameUnder(ctx, some)
		if retry.Compacted(err) || retry.Denied(err) {
			var denied []fingerprint
			same, denied, err = h.sameEach(ctx, some)
			refused = append(refused, denied...)
		}
		if err != nil || !same {
			return false, nil, err
		}
	}
	return true, refused, nil
}

// changedSince is what is known now, where that is not what was known: the store before
// may have sent more, which had not been taken in.
func changedSince(all []fingerprint) (changed []fingerprint) {
	for _, k := range all {
		now, _ := k.mirror.fingerprint()
		now.mirror, now.begun = k.mirror, k.begun
		if now != k {
			changed = append(changed, now)
		}
	}
	return changed
}

// sameEach asks about each by itself. Those that are refused say nothing.
func (h *Hub) sameEach(ctx context.Context, some []fingerprint) (same bool, refused []fingerprint, err error) {
	for _, k := range some {
		switch same, err := h.sameUnder(ctx, []fingerprint{k}); {
		case retry.Compacted(err):
			k.mirror.requestRelist(relist{fingerprint: k})
		case retry.Denied(err):
			refused = append(refused, k)
		case err != nil || !same:
			return false, nil, err
		}
	}
	return true, refused, nil
}

// question is what a store that is the same answers in one way only.
type question struct {
	get    clientv3.Op
	expect func(*etcdserverpb.RangeResponse) bool
}

// questions ask for the number of keys under the prefix, and for the last change:
// a key that was put is there as it was put; one that was deleted is not, and was in
// the revision before. Under the same lease, too: where little is written, those who
// register again in a store that was emptied may come to the same keys in the same
// revisions, but each has another lease.
func (k fingerprint) questions() []question {
	ask := func(key string, rev int64, expect func(*etcdserverpb.RangeResponse) bool, opts ...clientv3.OpOption) question {
		return question{clientv3.OpGet(key, append(opts, clientv3.WithRev(rev))...), expect}
	}
	var all []question
	if k.count >= 0 {
		all = append(all, ask(k.prefix, k.revision, counts(k.count), clientv3.WithPrefix(), clientv3.WithCountOnly()))
	}
	switch last := k.last; {
	case last.key == "":
		return all
	case last.deleted:
		return append(all, ask(last.key, last.at, counts(0), clientv3.WithCountOnly()), ask(last.key, last.at-1, last.is, last.options()...))
	default:
		return append(all, ask(last.key, k.revision, last.is, last.options()...))
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
			return false, fmt.Errorf("compare %d prefix(es) with what they were: %w", len(some), err)
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
