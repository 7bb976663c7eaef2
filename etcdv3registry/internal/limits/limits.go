// SPDX-License-Identifier: Apache-2.0

// Package limits knows how much one etcd takes in one request. Its operators may
// have set other limits than the defaults (--max-txn-ops, --max-request-bytes),
// and it tells them to nobody: they are learned from what it refuses.
package limits

import (
	"errors"
	"sync/atomic"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

const (
	// defaultOps is etcd's --max-txn-ops.
	defaultOps = 128
	// defaultBytes stays well below etcd's --max-request-bytes of 1.5 MiB.
	defaultBytes = 1 << 20
)

// Limits are those of one etcd. The zero value has the defaults; its methods may
// be called from any goroutine.
type Limits struct {
	ops, bytes atomic.Int64 // 0: the default
}

// Ops is how many operations a transaction may have. One that holds a nested
// transaction may have one less, etcd counts the levels.
func (l *Limits) Ops() int { return orDefault(&l.ops, defaultOps) }

// Bytes is how large a request may be.
func (l *Limits) Bytes() int { return orDefault(&l.bytes, defaultBytes) }

func orDefault(n *atomic.Int64, fallback int) int {
	if n := n.Load(); n != 0 {
		return int(n)
	}
	return fallback
}

// Learn reports whether err says that a request of so many operations, or so
// many bytes (0: not known), was too much, and the limit is lower now: the same
// can be asked for in smaller parts.
func (l *Limits) Learn(err error, ops, bytes int) bool {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return lower(&l.ops, l.Ops(), ops/2, "operations in a transaction")
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return lower(&l.bytes, l.Bytes(), bytes/2, "bytes in a request")
	default:
		return false
	}
}

func lower(limit *atomic.Int64, from, to int, what string) bool {
	if to < 1 || to >= from {
		return false
	}
	limit.Store(int64(to)) // of two that learn at once, whoever is wrong learns again
	logger.Infof("[etcdv3] etcd takes fewer %s than its default, going on with %d", what, to)
	return true
}
