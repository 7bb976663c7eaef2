// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// wish is what this process wants of a key that other processes write, too:
// every instance of an application its metadata, every application of an
// interface its name. Package lease, which wants a key to be just so, would have
// them overwrite each other for ever.
type wish struct {
	key string

	// One of these three.
	application string // to be among the names in the key
	content     string // to be there, if nothing is
	gone        bool   // nothing is to be there

	replace bool // content replaces what is there; once: other instances refresh it as well

	// What follows is guarded by keeper.mu.
	fulfilled bool
	refused   bool // that etcd refuses it was told
	waiters   []chan error
}

// id tells wishes apart: a later one of the same id replaces the earlier.
func (w *wish) id() string { return w.key + "\x00" + w.application }

// change returns what has to be done with a key that holds now; nil: nothing.
func (w *wish) change(now string, exists bool) *clientv3.Op {
	var op clientv3.Op
	switch {
	case w.gone:
		if !exists {
			return nil
		}
		op = clientv3.OpDelete(w.key)
	case w.application != "":
		merged, changed := report.MergeServiceAppMapping(now, w.application)
		if !changed {
			return nil
		}
		op = clientv3.OpPut(w.key, merged)
	case exists && (!w.replace || now == w.content):
		return nil
	default:
		op = clientv3.OpPut(w.key, w.content)
	}
	return &op
}

// settleLocked tells those who wait; with nil it is fulfilled.
func (w *wish) settleLocked(err error) {
	if err == nil {
		w.fulfilled, w.replace, w.refused = true, false, false
	}
	for _, waiter := range w.waiters {
		waiter <- err
	}
	w.waiters = nil
}
