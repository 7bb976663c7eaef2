// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// verification is when, and at which revision of the store, the keys were
// last seen to be there.
type verification struct {
	revision int64
	at       time.Time
	refused  bool // etcd does not let this user ask, and that was told

	unreadable map[string]bool // names of keys that etcd does not let this user read
}

// verify looks whether the keys of a living lease are still there: an operator
// may have deleted them, or a tool that cleans up. It asks etcd only if the
// store changed at all since the last time (an idle store costs nothing), and
// at most once in half a TTL; or after Resync.
//
// The revision it notes is that of the keep-alive before the question: what is
// deleted while the answer is on its way counts as a change for the next time.
func (r *Reconciler) verify(alive *clientv3.LeaseKeepAliveResponse) {
	v := &r.writer.verified
	if alive.ResponseHeader == nil {
		return
	}
	due := alive.Revision != v.revision && time.Since(v.at) >= r.TTL()/2
	if !r.resync.Swap(false) && !due {
		return
	}
	_ = r.look(alive.Revision) // with the next keep-alive, if etcd is away
}

// verifyUnleased is verify, after Resync, for a process that has no lease: no
// keep-alive gives it the occasion.
func (r *Reconciler) verifyUnleased() error {
	w := &r.writer
	if w.lease != clientv3.NoLease || w.doubt != nil || !r.resync.Swap(false) {
		return nil
	}
	return r.look(0)
}

// look asks etcd, and notes that it has answered, or refuses to. It returns an
// error if it is to be asked again.
func (r *Reconciler) look(revision int64) error {
	v := &r.writer.verified
	err := r.findLost(r.ctx)
	switch {
	case retry.LeaseLost(err):
		r.leaseLost("it expired or was revoked")
		return nil
	case retry.CanPass(err):
		r.resync.Store(true)
		return err
	case r.ctx.Err() != nil:
		return nil
	case err == nil && v.refused:
		logger.Infof("[etcdv3] etcd tells again whether registered keys were deleted by somebody else")
	case err != nil && !v.refused:
		logger.Warnf("[etcdv3] cannot look whether registered keys were deleted by somebody else, those of which etcd refuses to tell are not put again: %v", err)
	}
	if v.refused = err != nil; !v.refused {
		v.revision = revision
	}
	v.at = time.Now() // what is refused is asked again as often as if it had been answered
	return nil
}

// findLost marks what etcd does not have, and what it has under the lease and
// should not, and queues it. With an error that cannot pass it is not known of some
// keys.
func (r *Reconciler) findLost(ctx context.Context) error {
	client, err := r.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	leased := map[string]bool{}
	if lease := r.writer.lease; lease != clientv3.NoLease {
		if leased, err = attached(ctx, client, lease); err != nil {
			return fmt.Errorf("%w%s", err, r.lacksReading(err))
		}
	}
	contents, err := r.read(ctx, client)
	if err != nil && retry.CanPass(err) {
		return err
	}
	lost, gone := r.noteLost(contents, leased)
	taken := r.taken(ctx, client, gone)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range leased {
		e := r.entries[name]
		if e == nil { // deleted once, and back: out of a backup, or by a request that came late
			e = &entry{key: Key{Name: name}}
			r.entries[name] = e
		}
		e.mayExist, e.exists = true, true
	}
	r.writer.lost = max(r.writer.lost, lost)
	if len(taken) > 0 {
		r.record.resynced(reasonKeysTaken)
		logger.Warnf("[etcdv3] %d key(s) of this process were put by another one: do two run at one address? Registering again %s, which is under lease %x there",
			len(taken), layout.Show(string(taken[0].Key)), taken[0].Lease)
	}
	if n := lost - len(taken); n > 0 {
		r.record.resynced(reasonKeysDeleted)
		logger.Warnf("[etcdv3] %d key(s) of this process were deleted or overwritten in etcd by somebody else: registering them again", n)
	}
	r.enqueueUnsyncedLocked() // what was refused gets another chance, too
	return err
}

// noteLost returns how many keys are not in etcd as they should be, and the names of those
// that should be under the lease.
func (r *Reconciler) noteLost(contents map[string]Content, leased map[string]bool) (lost int, gone []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		now, known := contents[e.key.Name]
		if e.owners > 0 && e.synced && (known || !e.key.isRead()) && !e.holds(now, leased[e.key.Name]) {
			e.synced = false
			lost++
			if e.key.leased() {
				gone = append(gone, e.key.Name)
			}
		}
	}
	slices.Sort(gone)
	return lost, gone
}

// taken returns those of some keys that are not under the lease which another process has
// put under one of its own. It looks at a few: either it is one address, or all. If etcd
// does not tell, they are put again all the same.
func (r *Reconciler) taken(ctx context.Context, client *clientv3.Client, gone []string) []*mvccpb.KeyValue {
	if len(gone) == 0 {
		return nil
	}
	there, err := get(ctx, client, gone[:min(len(gone), 16, r.cfg.Limits.Ops())], clientv3.WithKeysOnly())
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(there, func(kv *mvccpb.KeyValue) bool { return kv.Lease == 0 || kv.Lease == int64(r.writer.lease) })
}

// lacksReading says how the right to read the keys of the lease is given, if that is
// what lacks; of several directories it names one.
func (r *Reconciler) lacksReading(err error) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first Key
	for name, e := range r.entries {
		if e.owners > 0 && !e.key.Persistent && e.key.Merge == nil && (first.Name == "" || name < first.Name) {
			first = e.key
		}
	}
	return first.lacks(rights.Read, err)
}

// holds reports whether etcd has what is desired.
func (e *entry) holds(now Content, leased bool) bool {
	key := e.key
	switch {
	case key.Merge != nil:
		return key.Merge.Apply(now, false) == now
	case key.isRead() && (!now.Exists || key.Value != "" && key.Value != now.Value):
		return false
	default:
		return key.Persistent || leased
	}
}

// attached returns the keys under the lease.
func attached(ctx context.Context, client *clientv3.Client, lease clientv3.LeaseID) (map[string]bool, error) {
	response, err := client.TimeToLive(ctx, lease, clientv3.WithAttachedKeys())
	if err != nil {
		return nil, fmt.Errorf("list the keys of lease %x: %w", lease, err)
	}
	if response.TTL <= 0 { // etcd answers so for a lease that it does not know
		return nil, rpctypes.ErrLeaseNotFound
	}
	there := make(map[string]bool, len(response.Keys))
	for _, name := range response.Keys {
		there[string(name)] = true
	}
	return there, nil
}

// read returns the contents of keys of which more has to be known than that they
// are under the lease, but for those that etcd does not let this user read: the
// error, which cannot pass, says why.
func (r *Reconciler) read(ctx context.Context, client *clientv3.Client) (contents map[string]Content, refused error) {
	contents = map[string]Content{}
	together, alone := r.readable()
	for len(together) > 0 {
		n := min(len(together), r.cfg.Limits.Ops())
		err := readInto(ctx, client, contents, together[:n])
		switch {
		case r.cfg.Limits.Learn(err, n, 0):
			continue
		case err != nil && retry.CanPass(err):
			return nil, err
		case err != nil:
			alone = append(alone, together[:n]...)
		}
		together = together[n:]
	}
	unreadable := map[string]bool{}
	for i := range alone {
		switch err := readInto(ctx, client, contents, alone[i:i+1]); {
		case err == nil:
		case retry.CanPass(err):
			return nil, err
		default:
			unreadable[alone[i]], refused = true, err
		}
	}
	r.writer.verified.unreadable = unreadable
	return contents, refused
}

// readable returns the names of keys to be read, and of those to be read alone, as
// they would have others refused.
func (r *Reconciler) readable() (together, alone []string) {
	names := map[string]bool{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		name := e.key.Name
		switch {
		case e.owners == 0 || !e.key.isRead() || names[name]:
			continue
		case r.writer.verified.unreadable[name]:
			alone = append(alone, name)
		default:
			together = append(together, name)
		}
		names[name] = true
	}
	return together, alone
}

func readInto(ctx context.Context, client *clientv3.Client, contents map[string]Content, names []string) error {
	there, err := get(ctx, client, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		contents[name] = Content{}
	}
	for _, kv := range there {
		contents[string(kv.Key)] = Content{string(kv.Value), true}
	}
	return nil
}

// get returns those of some keys that there are, out of one transaction.
func get(ctx context.Context, client *clientv3.Client, names []string, opts ...clientv3.OpOption) (there []*mvccpb.KeyValue, err error) {
	gets := make([]clientv3.Op, len(names))
	for i, name := range names {
		gets[i] = clientv3.OpGet(name, opts...)
	}
	response, err := client.Txn(ctx).Then(gets...).Commit()
	if err != nil {
		return nil, fmt.Errorf("look up %d key(s): %w", len(names), err)
	}
	for _, one := range response.Responses {
		there = append(there, one.GetResponseRange().GetKvs()...)
	}
	return there, nil
}
