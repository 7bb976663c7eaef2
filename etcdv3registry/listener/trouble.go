// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// trouble is why a mirror does not follow etcd.
type trouble int

const (
	away    trouble = iota + 1 // etcd does not answer
	refused                    // it answers that this prefix may not be read
)

// fails notes that a mirror cannot follow etcd. An etcd that is away is told
// once, not for every prefix; what it refuses is told for each. One that has lost
// its last reader meanwhile is not noted.
func (h *Hub) fails(m *mirror, err error) {
	now := away
	if !retry.CanPass(err) {
		now = refused
	}
	h.mu.Lock()
	if m.ctx.Err() != nil { // it ends, under this lock
		h.mu.Unlock()
		return
	}
	before := h.failing[m]
	first := h.awayLocked() == 0
	h.failing[m] = now
	n := len(h.mirrors)
	h.mu.Unlock()
	switch {
	case now == before:
	case now == refused:
		logger.Errorf("[etcdv3] etcd refuses to be read, listeners of %s are told nothing until it does not (it is tried again): %v%s", m.prefix, err, layout.Grant("read", m.prefix, err))
	case first:
		logger.Warnf("[etcdv3] etcd cannot be watched, listeners of %d prefix(es) keep what they know and it is tried again: %v", n, err)
	}
}

// works notes that a mirror follows etcd, or has ended.
func (h *Hub) works(m *mirror) {
	h.mu.Lock()
	before := h.failing[m]
	delete(h.failing, m)
	last := h.awayLocked() == 0
	n := len(h.mirrors) - len(h.failing)
	h.mu.Unlock()
	switch {
	case h.ctx.Err() != nil:
	case before == refused && m.ctx.Err() == nil:
		logger.Infof("[etcdv3] etcd lets %s be read again", m.prefix)
	case before == away && last && n > 0:
		logger.Infof("[etcdv3] etcd is watched again, %d prefix(es)", n)
	}
}

// awayLocked is how many mirrors an etcd that does not answer keeps from
// following it.
func (h *Hub) awayLocked() int {
	n := 0
	for _, t := range h.failing {
		if t == away {
			n++
		}
	}
	return n
}
