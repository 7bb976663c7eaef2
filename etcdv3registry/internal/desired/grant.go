// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// ensureLease takes a lease, unless there is one.
func (r *Reconciler) ensureLease(ctx context.Context, client *clientv3.Client) error {
	w := &r.writer
	if w.lease != clientv3.NoLease {
		return nil
	}
	if wait := time.Until(w.granted.Add(w.pause())); wait > 0 {
		return status.Errorf(codes.Unavailable, "etcd has ended %d leases at once, the next one is asked for in %v", w.brief, wait.Round(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	granted, err := client.Grant(ctx, int64(math.Ceil(r.TTL().Seconds())))
	if err != nil {
		return fmt.Errorf("take a lease of %v: %w", r.TTL(), err)
	}
	if err := r.keepAlive(client, granted.ID); err != nil {
		return err
	}
	w.lease, w.noLease, w.granted = granted.ID, false, time.Now()
	w.verified = verification{at: time.Now()}
	r.record.granted(granted.ID, granted.TTL)
	r.leased()
	logger.Infof("[etcdv3] took lease %x of %d s", granted.ID, granted.TTL)
	return nil
}

func (r *Reconciler) keepAlive(client *clientv3.Client, lease clientv3.LeaseID) error {
	alive, end := context.WithCancel(r.ctx)
	responses, err := client.KeepAlive(alive, lease)
	if err != nil {
		end()
		return fmt.Errorf("keep lease %x alive: %w", lease, err)
	}
	r.writer.keepAlive, r.writer.endLease = responses, end
	return nil
}

// doubtLease notes that the lease is not kept alive any more: mostly as etcd could not
// be reached for its TTL. If etcd was away as well it has the lease for a whole TTL more
// when it is back.
func (r *Reconciler) doubtLease() {
	w := &r.writer
	w.endLease()
	w.keepAlive, w.unsure = nil, true
	left, _ := r.record.now()
	r.record.doubted()
	// It is renewed three times in its TTL: etcd's refusal comes with the next renewal. The
	// client's clock and the one here differ by what this goroutine was busy with.
	if left.Remaining > left.TTL/3 {
		logger.Warnf("[etcdv3] etcd does not keep lease %x any more, %v before its end: it was revoked, or this is another etcd", w.lease, left.Remaining.Round(time.Second))
		return
	}
	logger.Warnf("[etcdv3] lease %x was not kept alive for its %v: unless etcd is away as well, consumers do not see this process any more", w.lease, r.TTL())
}

// verifyLease finds out whether etcd still has a lease of which that is in doubt,
// and goes on with it.
func (r *Reconciler) verifyLease() error {
	w := &r.writer
	if !w.unsure {
		return nil
	}
	client, err := r.cfg.Dial(r.ctx)
	if err != nil {
		return err
	}
	r.resync.Store(false)
	if err := r.look(0); err != nil {
		return fmt.Errorf("lease %x was not kept alive, and it is not known whether etcd still has it: %w", w.lease, err)
	}
	if w.lease != clientv3.NoLease && w.verified.refused {
		if err := r.askForLease(client); err != nil {
			return err
		}
	}
	w.unsure = false
	if w.lease == clientv3.NoLease {
		return nil
	}
	logger.Infof("[etcdv3] lease %x lives on", w.lease)
	r.setTrouble(nil) // before the lease is said to live
	r.record.alive()
	return r.keepAlive(client, w.lease)
}

// askForLease is for who may not see the keys of the lease.
func (r *Reconciler) askForLease(client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	response, err := client.TimeToLive(ctx, r.writer.lease)
	switch {
	case err == nil && response.TTL > 0:
		return nil
	case err == nil || retry.LeaseLost(err):
		r.leaseLost("it expired or was revoked")
		return nil
	case retry.CanPass(err) || r.ctx.Err() != nil:
		return fmt.Errorf("ask for lease %x: %w", r.writer.lease, err)
	default:
		r.leaseLost("it was not kept alive, and etcd refuses to tell whether it still has it")
		return nil
	}
}

// pause is how long after one lease the next is asked for: none, unless several
// in a row did not last.
func (w *writer) pause() time.Duration {
	if w.brief < 3 {
		return 0
	}
	return min(time.Second<<min(w.brief-3, 5), 20*time.Second)
}

// leaseLost queues every key: those under the lease are gone, or about to go,
// and with the reason (a wiped store, say) the others may be gone as well.
func (r *Reconciler) leaseLost(why string) {
	w := &r.writer
	if w.lease == clientv3.NoLease {
		return
	}
	w.endLease()
	if w.brief++; time.Since(w.granted) > time.Second {
		w.brief = 0
	}
	r.record.ended()
	r.record.resynced(reasonLeaseLost)
	lease := w.lease
	w.keepAlive, w.unsure, w.restored = nil, false, 0
	w.lease = clientv3.NoLease
	r.watches.doubt() // it may be another store
	r.mu.Lock()
	for _, e := range r.entries {
		e.synced, e.losses = false, 0
		e.gone, e.changed = false, 0 // with the lease
		e.parked = e.parked && e.key.Merge != nil
		e.exists = e.exists && (e.key.Persistent || e.key.Merge != nil)
	}
	r.enqueueUnsyncedLocked()
	w.lost = r.countLocked(func(e *entry) bool { return e.owners > 0 && !e.synced })
	r.mu.Unlock()
	logger.Warnf("[etcdv3] lease %x is lost (%s): registering %d key(s) again under a new one", lease, why, w.lost)
	r.signal(r.wake)
}

// revoke gives up the lease when the writer has ended.
func (r *Reconciler) revoke(ctx context.Context) error {
	w := &r.writer
	if w.lease == clientv3.NoLease {
		return nil
	}
	w.endLease()
	client, err := r.cfg.Dial(ctx)
	if err == nil {
		_, err = client.Revoke(ctx, w.lease)
	}
	if err != nil && !retry.LeaseLost(err) {
		return fmt.Errorf("revoke lease %x (its keys go within %v): %w", w.lease, r.TTL(), err)
	}
	r.record.ended()
	logger.Infof("[etcdv3] gave up lease %x, the keys of this process are gone", w.lease)
	return nil
}
