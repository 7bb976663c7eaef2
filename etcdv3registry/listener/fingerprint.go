// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lastChange is the change of a key that is known to be the newest.
type lastChange struct {
	keyAt
	deleted bool
	entry   entry // what was put, or deleted; empty: that is not known
}

// options ask for as much of the key as is known of it.
func (c lastChange) options() []clientv3.OpOption {
	if c.entry.content == nil {
		return []clientv3.OpOption{clientv3.WithKeysOnly()}
	}
	return nil
}

// is reports whether etcd had just that.
func (c lastChange) is(r *etcdserverpb.RangeResponse) bool {
	if len(r.Kvs) != 1 {
		return false
	}
	_, had := mirrored{keysOnly: c.entry.content == nil}.entryOf(r.Kvs[0])
	return c.entry.changed == 0 || had.isLike(c.entry) && had.lease == c.entry.lease
}

// fingerprint returns what a store that is the same must have had; ok is false before
// the first listing.
func (s *store) fingerprint() (k fingerprint, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k = fingerprint{prefix: s.prefix, revision: s.rev, count: int64(len(s.keys) - len(s.retained)), last: s.last, begun: s.begun}
	if s.part {
		k.count = -1
	}
	return k, s.rev != 0
}

// isContinuedBy reports whether a listing is of a store that has gone through all that
// is known: it has the last change. One that was restored from a backup has not, if the
// backup is older than that; where the last change was a deletion it cannot be told.
func (s *store) isContinuedBy(keys map[string]entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, there := keys[s.last.key]
	return there && !s.last.deleted && now.changed == s.last.at && now.lease == s.last.entry.lease
}

// doubt notes that etcd may be another store than the one that a listing was begun of.
func (s *store) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted = s.begun > s.shown
}

// isDoubted reports whether that was so when the listing was being made that the store shows.
func (s *store) isDoubted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubted
}

// listedSince reports whether the store shows a listing that was begun later.
func (s *store) listedSince(k fingerprint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown > k.begun
}
