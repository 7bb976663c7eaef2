// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"fmt"

	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// errParentGone is a batch that was not written as a parent that existed does
// not any more.
var errParentGone = errors.New("a parent has been deleted")

// futile is after how many attempts in a row, each of which should have done, the
// next ones are left to the schedule of an etcd that is away.
const futile = 5

// leaseRefusedError is a batch that was not written as etcd refuses a lease.
type leaseRefusedError struct{ error }

func (e leaseRefusedError) Unwrap() error { return e.error }

// writeBatch takes one batch off the queue and writes it. If it fails, what
// was in it is queued again, but for what etcd refuses for good.
func (r *Reconciler) writeBatch(ctx context.Context) error {
	r.gather()
	r.mu.Lock()
	b := r.nextBatchLocked()
	r.mu.Unlock()
	if b == nil {
		return nil
	}
	defer r.requeue(b)
	client, err := r.cfg.Dial(ctx)
	if retry.NotLetIn(err) {
		r.notLetIn(b, err)
		return nil
	}
	if err != nil {
		return err
	}
	w := &r.writer
	err = r.commit(ctx, client, b)
	switch {
	case err != nil && len(b.pieces) == 0 && !retry.CanPass(err):
		b.missing = nil // whoever needs these parents says so
		return nil
	case err == nil:
		w.futile, w.notLetIn = 0, false
		return nil
	case retry.NotLetIn(err):
		r.notLetIn(b, err)
		return nil
	case retry.LeaseLost(err):
		r.leaseLost("it expired or was revoked")
		return w.again(err) // with a new one
	case errors.Is(err, errParentGone):
		return w.again(err) // and it is created
	case len(b.pieces) > 1 && r.cfg.Limits.Learn(err, b.ops(), b.bytes):
		return nil // flush goes on, with less at once
	case errors.As(err, &leaseRefusedError{}):
		r.leaseRefused(b, err)
		return nil // flush goes on, with what needs none
	case !retry.CanPass(err) && ctx.Err() == nil:
		return r.refused(ctx, client, b, err)
	default:
		return err
	}
}

// again returns nil for what another attempt should mend at once, and err if a few
// in a row have not.
func (w *writer) again(err error) error {
	if w.futile++; w.futile < futile {
		return nil
	}
	return fmt.Errorf("%d attempts in a row did not help: %w", w.futile, err)
}

// commit sends one transaction, under a lease if it needs one, and settles its
// entries when etcd took it.
func (r *Reconciler) commit(ctx context.Context, client *clientv3.Client, b *batch) error {
	if b.leased {
		err := r.ensureLease(ctx, client)
		if err != nil && !retry.CanPass(err) && ctx.Err() == nil {
			return leaseRefusedError{err}
		}
		if err != nil {
			return err
		}
	}
	var (
		conditions      []clientv3.Cmp
		then, otherwise []clientv3.Op
	)
	if b.merges != nil {
		conditions, then, otherwise = b.mergeOps()
	} else {
		conditions, then = b.puts(r.writer.lease)
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if len(then) == 1 && then[0].IsPut() && len(conditions) == 0 { // costs etcd less than a transaction
		response, err := client.Do(ctx, then[0])
		if err != nil {
			return fmt.Errorf("write a key: %w", err)
		}
		r.settle(b, response.Put().Header.GetRevision())
		return nil
	}
	response, err := client.Txn(ctx).If(conditions...).Then(then...).Else(otherwise...).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("write %d key(s): %w", len(b.pieces), err)
	case b.merges != nil:
		r.settleMerges(b, response)
		return nil
	case !response.Succeeded:
		clear(r.writer.parents)
		return errParentGone
	}
	r.settle(b, response.Header.GetRevision())
	return nil
}

// settle notes that etcd has taken a batch, at a revision.
func (r *Reconciler) settle(b *batch, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = nil // whoever sees the keys there sees no reason why they were not
	r.settleParentsLocked(b.missing, revision)
	r.settleParentsLocked(b.present, revision)
	for _, p := range b.pieces {
		e := p.entry
		r.noteRestoredLocked(e, p.wanted)
		e.synced, e.mayExist, e.exists, e.refused = p.wanted && e.key == p.key, p.wanted, p.wanted, false
		r.watchLocked(e, p.wanted, revision)
		if e.inSync() { // else it was changed meanwhile
			e.partner = nil
			e.tellLocked(nil)
			r.forgetLocked(e)
		}
	}
}

// noteRestoredLocked notes what has become of an entry that others had changed.
func (r *Reconciler) noteRestoredLocked(e *entry, there bool) {
	if e.gone && there {
		r.writer.restored++
	}
	e.gone = false
}

func (r *Reconciler) settleParentsLocked(parents []string, revision int64) {
	for _, p := range parents {
		r.writer.parents[p] = revision
		if r.parents[p] > 0 {
			r.watches.add(r.ctx, p, revision, false)
		}
	}
}

// notLetIn reports to all who wait for a batch that etcd does not know this user, or
// not by this password: each key alone would be refused as well.
func (r *Reconciler) notLetIn(b *batch, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = fmt.Errorf("etcd does not let this process in: %w", err)
	if !r.writer.notLetIn {
		r.writer.notLetIn = true
		logger.Errorf("[etcdv3] %v; nothing is written until it does (it is tried again), and the lease runs out", err)
	}
	r.refuseLocked(b.pieces, err)
}

// leaseRefused reports to those who wait for keys of a batch that need a lease
// that etcd refuses one.
func (r *Reconciler) leaseRefused(b *batch, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range b.pieces {
		if p.wanted && !p.key.Persistent && !p.isOldLocked() {
			r.tellRefusedLocked(p.entry, fmt.Errorf("etcd refuses a lease: %w", err))
		}
	}
	if !r.writer.noLease {
		r.writer.noLease = true
		logger.Errorf("[etcdv3] etcd refuses a lease, nothing of this process is registered until it does not (it is tried again): %v", err)
	}
}

// refused finds out which keys of a batch etcd refuses, by writing each alone,
// and reports it to those who wait for them. Keys that nobody waits for (they
// were accepted once) stay desired and are tried again.
func (r *Reconciler) refused(ctx context.Context, client *clientv3.Client, b *batch, err error) error {
	each := r.alone(b)
	for _, one := range each {
		switch err := r.commit(ctx, client, one); {
		case err == nil:
		case errors.Is(err, errParentGone):
			return nil // what was not refused yet is queued again
		case errors.As(err, &leaseRefusedError{}):
			r.leaseRefused(b, err)
			return nil
		case retry.CanPass(err) || ctx.Err() != nil:
			return err
		default:
			_ = r.refused(ctx, client, one, err)
		}
	}
	if each != nil {
		return nil
	}
	if len(b.missing)+len(b.present) > 0 { // which are none of this user's affair
		b.missing, b.present = nil, nil
		switch again := r.commit(ctx, client, b); {
		case again == nil:
			return nil
		case retry.CanPass(again) || errors.Is(again, errParentGone) || errors.As(again, &leaseRefusedError{}):
			return again
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := b.pieces[0].key
	r.refuseLocked(b.pieces, fmt.Errorf("etcd refuses key %s: %w%s", layout.Show(key.Name), err, key.lacks(rights.ReadWrite, err)))
	return nil
}

// refuseLocked reports to those who wait for a key that it was not written.
func (r *Reconciler) refuseLocked(pieces []piece, err error) {
	for _, p := range pieces {
		e := p.entry
		if !e.refused && !p.key.Optional && !r.writer.notLetIn {
			logger.Errorf("[etcdv3] %v; it is tried again from time to time", err)
		}
		switch {
		case p.key.Merge != nil:
			delete(r.writer.merging, p.key.Name)
			r.mergeable = false
		case p.wanted:
			e.mayExist = e.exists // of an older value: that stays, under this lease
		}
		if !p.isOldLocked() { // else those who wait hear what becomes of what is desired now
			r.tellRefusedLocked(e, err)
		}
	}
}

func (r *Reconciler) tellRefusedLocked(e *entry, err error) {
	e.refused, e.partner, r.writer.refusing = true, nil, true
	e.why = err
	e.tellLocked(err)
}

// requeue queues again what etcd does not agree about, but for what it refused.
func (r *Reconciler) requeue(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range b.pieces {
		if !p.entry.refused {
			r.enqueueLocked(p.entry)
		}
	}
	if len(b.pieces) == 0 {
		for _, parent := range b.missing {
			if _, there := r.writer.parents[parent]; !there {
				r.missing = append(r.missing, parent)
			}
		}
	}
}
