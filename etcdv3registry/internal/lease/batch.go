// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
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

// A batch is what goes into one transaction: entries, what was wanted of each
// when the batch was made, and their parents.
type batch struct {
	entries []*entry
	keys    []Key // of the entries: those belong to Keeper.mu
	wanted  []bool
	missing []string // parents that may have to be created
	present []string // parents without which nothing is written
	leased  bool     // a put needs the lease
	bytes   int
}

// nextBatchLocked takes entries off the queue, in order, as many as one
// transaction holds; an entry and its partners stay together. It returns nil
// when nothing is queued.
func (k *Keeper) nextBatchLocked() *batch {
	b := &batch{}
	for len(k.queue) > 0 {
		e := k.queue[0]
		if e.queued { // else it came along with its partner
			unit := e.unit()
			if len(b.entries) > 0 && k.writer.full(b, unit) {
				break
			}
			for _, u := range unit {
				u.queued = false
				if u.settled() { // put and deleted again before it was sent, or the other way round
					u.tellLocked(nil)
					k.forgetLocked(u)
				} else if !slices.Contains(b.entries, u) {
					k.writer.addTo(b, u)
				}
			}
		}
		k.queue = k.queue[1:]
	}
	if len(b.entries) == 0 {
		return nil
	}
	return b
}

// addTo adds an entry to a batch, under Keeper.mu.
func (w *writer) addTo(b *batch, e *entry) {
	wanted := e.owners > 0
	b.entries = append(b.entries, e)
	b.keys = append(b.keys, e.key)
	b.wanted = append(b.wanted, wanted)
	b.bytes += e.size()
	if !wanted {
		return
	}
	e.sent = true
	b.leased = b.leased || !e.key.Persistent
	if parent := e.key.Parent; parent != "" {
		switch w.parents[parent] {
		case unknown:
			b.missing = appendNew(b.missing, parent)
		case seen:
			b.present = appendNew(b.present, parent)
		}
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// conditions are what must hold for anything to be written.
func (b *batch) conditions() []clientv3.Cmp {
	conditions := make([]clientv3.Cmp, 0, len(b.present))
	for _, p := range b.present {
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(p), ">", 0))
	}
	return conditions
}

// operations are what makes etcd agree with what is wanted.
func (b *batch) operations(lease clientv3.LeaseID) []clientv3.Op {
	ops := make([]clientv3.Op, 0, len(b.entries)+len(b.missing))
	for _, p := range b.missing {
		ops = append(ops, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(p), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(p, "")}, nil))
	}
	for i, key := range b.keys {
		switch {
		case !b.wanted[i]:
			ops = append(ops, clientv3.OpDelete(key.Name))
		case key.Persistent:
			ops = append(ops, clientv3.OpPut(key.Name, key.Value))
		default:
			value := cmp.Or(key.Value, strconv.FormatInt(int64(lease), 10))
			ops = append(ops, clientv3.OpPut(key.Name, value, clientv3.WithLease(lease)))
		}
	}
	return ops
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

// full reports whether the unit does not fit into the batch any more. etcd
// counts conditions apart from operations, and there are no more of them.
func (w *writer) full(b *batch, unit []*entry) bool {
	ops, bytes := len(b.entries)+len(b.missing), b.bytes
	for _, e := range unit {
		ops++
		if e.key.Parent != "" && w.parents[e.key.Parent] == unknown {
			ops++
		}
		bytes += e.size()
	}
	return ops > w.maxOps || bytes > maxTxnBytes
}

func (e *entry) size() int { return len(e.key.Name) + len(e.key.Value) + len(e.key.Parent) + 64 }
