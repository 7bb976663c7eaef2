// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// maxTxnOps is etcd's --max-txn-ops, less the one level that a nested
	// transaction (the creation of a parent) counts for.
	maxTxnOps = 127
	// maxTxnBytes stays well below etcd's --max-request-bytes of 1.5 MiB.
	maxTxnBytes = 1 << 20
)

// A batch is what goes into one transaction.
type batch struct {
	entries []*entry
	wanted  []bool // of each entry, when the batch was made
	parents []string
	ops     []clientv3.Op
	bytes   int
	leased  bool // a put of the batch needs the lease
}

// nextBatchLocked takes entries off the queue, in order, as many as one
// transaction holds; an entry and its partner stay together. It returns nil
// when nothing is queued.
func (k *Keeper) nextBatchLocked() *batch {
	b := &batch{}
	taken := 0
	for _, e := range k.queue {
		if e.queued { // else it came along with its partner
			unit := e.unit()
			if len(b.entries) > 0 && b.full(unit, k.writer.maxOps) {
				break
			}
			for _, u := range unit {
				u.queued = false
				if !u.settled() {
					k.writer.addTo(b, u)
				}
			}
		}
		taken++
	}
	k.queue = k.queue[taken:]
	if len(k.queue) == 0 {
		k.queue = nil
	}
	if len(b.entries) == 0 {
		return nil
	}
	return b
}

// unit is the entry with what has to be written in the same transaction: one
// key may have been replaced by a second and that by a third since the last
// batch.
func (e *entry) unit() []*entry {
	unit := []*entry{e}
	for p := e.partner; p != nil && !slices.Contains(unit, p); p = p.partner {
		unit = append(unit, p)
	}
	return unit
}

func (b *batch) full(unit []*entry, maxOps int) bool {
	ops, bytes := len(b.ops), b.bytes
	for _, e := range unit {
		ops += 2 // itself and, perhaps, its parent
		bytes += e.size()
	}
	return ops > maxOps || bytes > maxTxnBytes
}

func (e *entry) size() int { return len(e.key.Name) + len(e.key.Parent) + 64 }

// addTo adds the operation that makes etcd agree with what is wanted of e.
func (w *writer) addTo(b *batch, e *entry) {
	wanted := e.owners > 0
	b.entries = append(b.entries, e)
	b.wanted = append(b.wanted, wanted)
	b.bytes += e.size()
	if !wanted {
		b.ops = append(b.ops, clientv3.OpDelete(e.key.Name))
		return
	}
	if p := e.key.Parent; p != "" && !w.parents[p] && !slices.Contains(b.parents, p) {
		b.parents = append(b.parents, p)
		b.ops = append(b.ops, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(p), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(p, "")}, nil))
	}
	e.sent = true
	if e.key.Persistent {
		b.ops = append(b.ops, clientv3.OpPut(e.key.Name, ""))
		return
	}
	b.leased = true
	b.ops = append(b.ops, clientv3.OpPut(e.key.Name, strconv.FormatInt(int64(w.lease), 10), clientv3.WithLease(w.lease)))
}
