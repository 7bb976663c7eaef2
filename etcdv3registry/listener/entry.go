// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"bytes"
	"sync"
	"unsafe"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// entry is what a store has of a key besides its name: little, as there may be a
// million.
type entry struct {
	created, changed, lease int64

	*content // nil: of a mirror of keys only
}

// content is a value, and what the first reader made of it.
type content struct {
	value []byte

	once    sync.Once
	decoded any
}

// entryOf returns what is kept of a key. The bytes of its name and of its value are
// not copied: each key of an answer has its own, and nobody writes to them.
func (m mirrored) entryOf(kv *mvccpb.KeyValue) (key string, e entry) {
	e = entry{created: kv.CreateRevision, changed: kv.ModRevision, lease: kv.Lease}
	if !m.keysOnly {
		e.content = &content{value: kv.Value}
	}
	return unsafe.String(unsafe.SliceData(kv.Key), len(kv.Key)), e
}

// bytes is the value; nil if it is not kept.
func (e entry) bytes() []byte {
	if e.content == nil {
		return nil
	}
	return e.value
}

// size is what a key counts for the limits.
func (e entry) size(key string) int64 { return int64(len(key) + len(e.bytes())) }

// isLike reports whether a key has not been changed. Two stores may have changed the
// same key in the same revision, each in its way.
func (e entry) isLike(other entry) bool {
	return e.changed == other.changed && e.created == other.created && bytes.Equal(e.bytes(), other.bytes())
}

// change is what a reader is told of it.
func (e entry) change(key string) Change {
	return Change{Key: key, Value: e.bytes(), Created: e.created, Changed: e.changed, Lease: e.lease, content: e.content}
}
