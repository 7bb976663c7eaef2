// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// verification is when, and at which revision of the store, the keys were
// last seen to be there.
type verification struct {
	revision int64
	at       time.Time
	off      bool // etcd does not let this user ask
}

// verify looks whether the keys of a living lease are still there: an operator
// may have deleted them, or a tool that cleans up. It asks etcd only if the
// store changed at all since the last time (an idle store costs nothing), and
// at most once in half a TTL; or after Check.
//
// The revision it notes is that of the keep-alive before the question: what is
// deleted while the answer is on its way counts as a change for the next time.
func (k *Keeper) verify(alive *clientv3.LeaseKeepAliveResponse) {
	v := &k.writer.verified
	if v.off || alive.ResponseHeader == nil {
		return
	}
	due := (alive.Revision != v.revision || k.unsettled()) && time.Since(v.at) >= k.TTL()/2
	if !k.suspicious.Swap(false) && !due {
		return
	}
	err := k.findLost(k.ctx)
	switch {
	case err == nil:
		v.revision, v.at = alive.Revision, time.Now()
		if k.cfg.Looked != nil {
			k.cfg.Looked()
		}
	case retry.LeaseLost(err):
		k.leaseLost("etcd does not know it")
	case retry.CanPass(err):
		k.suspicious.Store(true)
	case k.ctx.Err() == nil:
		v.forbidden(err)
	}
}

// forbidden notes that etcd refuses the question for good.
func (v *verification) forbidden(err error) {
	v.off = true
	logger.Warnf("[etcdv3] cannot look whether registered keys were deleted by somebody else, they will not be put again: %v", err)
}

// unsettled reports whether etcd has refused something that is still wanted (or
// unwanted): a permission may be given without a change of the store.
func (k *Keeper) unsettled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.entries {
		if !e.settled() {
			return true
		}
	}
	return false
}

// verifyUnleased is verify, after Check, for a process of which all keys are
// persistent: no keep-alive gives it the occasion.
func (k *Keeper) verifyUnleased() error {
	v := &k.writer.verified
	if k.writer.lease != clientv3.NoLease || v.off || !k.suspicious.Swap(false) {
		return nil
	}
	err := k.findLost(k.ctx)
	switch {
	case err == nil:
	case retry.CanPass(err):
		k.suspicious.Store(true)
		return err
	case k.ctx.Err() == nil:
		v.forbidden(err)
	}
	return nil
}

// findLost marks what etcd does not have, and what it has under the lease and
// should not, and queues it.
func (k *Keeper) findLost(ctx context.Context) error {
	client, err := k.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	leased := map[string]bool{}
	if lease := k.writer.lease; lease != clientv3.NoLease {
		if leased, err = attached(ctx, client, lease); err != nil {
			return err
		}
	}
	there := maps.Clone(leased)
	if err := k.lookUp(ctx, client, there); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	lost := 0
	for name, e := range k.entries {
		if e.owners > 0 && e.have && !there[name] {
			e.have = false
			lost++
		}
	}
	for name := range leased {
		e := k.entries[name]
		if e == nil { // deleted once, and back: out of a backup, or by a request that came late
			e = &entry{key: Key{Name: name}}
			k.entries[name] = e
		}
		e.sent, e.put = true, true
	}
	if lost > 0 {
		k.writer.lost = lost
		k.writer.doubtParents() // deleted with them, perhaps
		logger.Warnf("[etcdv3] %d key(s) of this process were deleted from etcd by somebody else: registering them again", lost)
	}
	k.enqueueUnsettledLocked() // what was refused gets another chance, too
	return nil
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

// lookUp adds to there the keys without a lease that exist, and takes those
// out that have another value than wanted.
func (k *Keeper) lookUp(ctx context.Context, client *clientv3.Client, there map[string]bool) error {
	var gets []clientv3.Op
	wanted := map[string]Key{}
	k.mu.Lock()
	for name, e := range k.entries {
		if e.owners > 0 && (e.key.Persistent || e.key.Value != "") {
			gets = append(gets, clientv3.OpGet(name))
			wanted[name] = e.key
		}
	}
	k.mu.Unlock()
	for len(gets) > 0 {
		n := min(len(gets), k.writer.maxOps)
		response, err := client.Txn(ctx).Then(gets[:n]...).Commit()
		if err != nil {
			return fmt.Errorf("look up %d key(s): %w", n, err)
		}
		for _, r := range response.Responses {
			for _, kv := range r.GetResponseRange().Kvs {
				key := wanted[string(kv.Key)]
				same := key.Value == "" || key.Value == string(kv.Value)
				there[key.Name] = same && (key.Persistent || there[key.Name])
			}
		}
		gets = gets[n:]
	}
	return nil
}
