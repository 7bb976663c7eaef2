// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/redact"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// writer is what the goroutine that writes to etcd knows. Nobody else touches
// it while that goroutine runs, but for what is read under Keeper.mu.
type writer struct {
	lease     clientv3.LeaseID // 0: none
	keepAlive <-chan *clientv3.LeaseKeepAliveResponse
	endLease  context.CancelFunc // ends the keep-alives of lease
	parents   map[string]parent
	maxOps    int // operations that etcd takes in one transaction
	lost      int // keys that were lost and are being put again; 0: none
	verified  verification
}

// parent is what is known of a parent.
type parent int

const (
	unknown parent = iota
	seen           // it existed, but the store may be another one since
	exists
)

// errParentGone is a batch that was not written as a parent that existed does
// not any more.
var errParentGone = errors.New("a parent has been deleted")

// doubtParents is called when keys were lost, for a reason that parents may have
// been lost for as well. Mostly they have not: to require them costs etcd half
// of what it costs to create them where they are absent.
func (w *writer) doubtParents() {
	for name := range w.parents {
		w.parents[name] = seen
	}
}

// run is the writer: it ends with Close.
func (k *Keeper) run() {
	defer close(k.done)
	var (
		w        = &k.writer
		schedule backoff.BackOff     // while etcd is away
		again    <-chan time.Time    // when to try again
		failed   = func(err error) { // to write
			if schedule == nil {
				schedule = k.backoff()
				logger.Warnf("[etcdv3] etcd does not take changes, %d key(s) wait and are retried in the background: %v", k.waiting(), err)
			}
			again = time.After(schedule.NextBackOff())
		}
	)
	for {
		var wake <-chan struct{}
		if again == nil {
			wake = k.wake // while etcd is away only the schedule counts
		}
		select {
		case <-k.ctx.Done():
			return
		case response, ok := <-w.keepAlive:
			switch {
			case ok:
				k.verify(response)
			case k.ctx.Err() != nil: // by Close, which is to revoke the lease
				return
			default:
				k.leaseLost("it expired or was revoked")
			}
			if again != nil {
				continue
			}
		case <-again:
			again = nil
		case <-wake:
		}
		err := k.verifyUnleased()
		if err == nil {
			err = k.flush()
		}
		if err != nil {
			if k.ctx.Err() != nil {
				return
			}
			failed(err)
			continue
		}
		if schedule != nil {
			logger.Infof("[etcdv3] etcd takes changes again, all %d key(s) are registered under lease %x", k.Len(), w.lease)
		}
		schedule = nil
	}
}

// flush writes what is queued. It returns nil when nothing is left, or what was
// refused has been reported; an error that can pass when etcd is away.
func (k *Keeper) flush() error {
	w := &k.writer
	for {
		err := retry.Do(k.ctx, k.cfg.Retry, func(ctx context.Context) error {
			err := k.writeBatch(ctx)
			k.mu.Lock()
			k.trouble = err
			k.mu.Unlock()
			return err
		})
		switch {
		case err == nil:
			if k.setAway(nil) {
				continue
			}
			if w.lost > 0 {
				logger.Infof("[etcdv3] %d key(s) that had been lost are registered again under lease %x", w.lost, w.lease)
				w.lost = 0
			}
			return nil
		default:
			k.setAway(err)
			return err
		}
	}
}

// setAway notes whether etcd takes changes, tells those who wait when it does
// not, and reports whether there is something queued.
func (k *Keeper) setAway(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = err
	if err != nil {
		for _, e := range k.entries {
			e.tellLocked(err)
			k.enqueueLocked(e)
		}
	}
	return len(k.queue) > 0
}

func (k *Keeper) waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.queue)
}

// writeBatch takes one batch off the queue and writes it. If it fails, what
// was in it is queued again, but for what etcd refuses for good.
func (k *Keeper) writeBatch(ctx context.Context) error {
	k.mu.Lock()
	b := k.nextBatchLocked()
	k.mu.Unlock()
	if b == nil {
		return nil
	}
	defer k.requeue(b)
	client, err := k.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	err = k.commit(ctx, client, b)
	switch {
	case err == nil:
		return nil
	case retry.LeaseLost(err):
		k.leaseLost("etcd does not know it")
		return nil // flush goes on, with a new one
	case errors.Is(err, errParentGone):
		return nil // flush goes on, and creates it
	case errors.Is(err, rpctypes.ErrTooManyOps) && k.writer.maxOps > 3:
		k.writer.maxOps /= 2
		logger.Infof("[etcdv3] etcd takes fewer operations in a transaction than its default, going on with %d", k.writer.maxOps)
		return nil
	case !retry.CanPass(err) && ctx.Err() == nil:
		return k.refused(ctx, client, b, err)
	default:
		return err
	}
}

// commit sends one transaction, under a lease if it needs one, and settles its
// entries when etcd took it.
func (k *Keeper) commit(ctx context.Context, client *clientv3.Client, b *batch) error {
	if b.leased {
		if err := k.ensureLease(ctx, client); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	response, err := client.Txn(ctx).If(b.conditions()...).Then(b.operations(k.writer.lease)...).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("write %d key(s): %w", len(b.entries), err)
	case !response.Succeeded:
		clear(k.writer.parents)
		return errParentGone
	}
	for _, p := range slices.Concat(b.missing, b.present) {
		k.writer.parents[p] = exists
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, e := range b.entries {
		e.have, e.sent, e.put, e.refused = b.wanted[i] && e.key == b.keys[i], b.wanted[i], b.wanted[i], false
		if e.settled() { // else it was changed meanwhile
			e.partner = nil
			e.tellLocked(nil)
			k.forgetLocked(e)
		}
	}
	return nil
}

// refused finds out which keys of a batch etcd refuses, by writing each alone,
// and reports it to those who wait for them. Keys that nobody waits for (they
// were accepted once) stay wanted and are tried again as the lease is kept.
func (k *Keeper) refused(ctx context.Context, client *clientv3.Client, b *batch, err error) error {
	if len(b.entries) > 1 {
		for _, e := range b.entries {
			one := &batch{}
			k.mu.Lock()
			k.writer.addTo(one, e)
			k.mu.Unlock()
			switch err := k.commit(ctx, client, one); {
			case err == nil:
			case errors.Is(err, errParentGone):
				return nil // what was not refused yet is queued again
			case retry.CanPass(err) || ctx.Err() != nil:
				return err
			default:
				_ = k.refused(ctx, client, one, err)
			}
		}
		return nil
	}
	e := b.entries[0]
	k.mu.Lock()
	defer k.mu.Unlock()
	if !e.refused {
		logger.Errorf("[etcdv3] etcd refuses key %s, it is tried again from time to time: %v", redact.Key(e.key.Name), err)
	}
	if b.wanted[0] {
		e.sent = e.put // of an older value: that stays, under this lease
	}
	if e.key != b.keys[0] || (e.owners > 0) != b.wanted[0] {
		return nil // it was changed meanwhile: those who wait hear what becomes of that
	}
	e.refused = true
	e.partner = nil
	e.tellLocked(fmt.Errorf("etcd refuses key %s: %w", redact.Key(e.key.Name), err))
	return nil
}

// requeue queues again what etcd does not agree about, but for what it refused.
func (k *Keeper) requeue(b *batch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range b.entries {
		if !e.refused {
			k.enqueueLocked(e)
		}
	}
}

// ensureLease takes a lease, unless there is one.
func (k *Keeper) ensureLease(ctx context.Context, client *clientv3.Client) error {
	w := &k.writer
	if w.lease != clientv3.NoLease {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	granted, err := client.Grant(ctx, int64(math.Ceil(k.TTL().Seconds())))
	if err != nil {
		return fmt.Errorf("take a lease of %v: %w", k.TTL(), err)
	}
	alive, end := context.WithCancel(k.ctx)
	responses, err := client.KeepAlive(alive, granted.ID)
	if err != nil {
		end()
		return fmt.Errorf("keep lease %x alive: %w", granted.ID, err)
	}
	w.lease = granted.ID
	w.keepAlive, w.endLease = responses, end
	w.verified = verification{at: time.Now()}
	logger.Infof("[etcdv3] took lease %x of %d s", granted.ID, granted.TTL)
	return nil
}

// leaseLost queues every key: those under the lease are gone, or about to go,
// and with the reason (a wiped store, say) the others may be gone as well.
func (k *Keeper) leaseLost(why string) {
	w := &k.writer
	if w.lease == clientv3.NoLease {
		return
	}
	w.endLease()
	lease := w.lease
	w.keepAlive = nil
	w.lease = clientv3.NoLease
	w.doubtParents() // gone as well, if the store was wiped
	k.mu.Lock()
	for _, e := range k.entries {
		e.have = false
		e.put = e.put && e.key.Persistent
	}
	w.lost = k.enqueueUnsettledLocked()
	k.mu.Unlock()
	logger.Warnf("[etcdv3] lease %x is lost (%s): registering %d key(s) again under a new one", lease, why, w.lost)
	k.signal()
}

// revoke gives up the lease when the writer has ended.
func (k *Keeper) revoke(ctx context.Context) error {
	w := &k.writer
	if w.lease == clientv3.NoLease {
		return nil
	}
	w.endLease()
	client, err := k.cfg.Dial(ctx)
	if err == nil {
		_, err = client.Revoke(ctx, w.lease)
	}
	if err != nil && !retry.LeaseLost(err) {
		return fmt.Errorf("revoke lease %x (its keys go within %v): %w", w.lease, k.TTL(), err)
	}
	logger.Infof("[etcdv3] gave up lease %x, the keys of this process are gone", w.lease)
	return nil
}
