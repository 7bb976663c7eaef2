// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// trouble is why a mirror does not follow etcd.
type trouble int

const (
	away     trouble = iota + 1 // etcd does not answer
	notLetIn                    // it does not know the user, or the password is wrong
	refused                     // it answers that this prefix may not be read
)

// fails notes that a mirror cannot follow etcd. An etcd that is away, or does not
// let this process in, is told once, not for every prefix; what it refuses is told
// for each. One that has lost its last reader meanwhile is not noted.
func (h *Hub) fails(m *mirror, err error) {
	now := refused
	switch {
	case retry.CanPass(err):
		now = away
	case retry.NotLetIn(err):
		now = notLetIn
	}
	h.mu.Lock()
	if m.ctx.Err() != nil { // it ends, under this lock
		h.mu.Unlock()
		return
	}
	before := h.failing[m]
	first := h.countLocked(now) == 0
	h.failing[m] = now
	n := len(h.mirrors)
	h.mu.Unlock()
	switch {
	case now == before:
	case now == refused:
		logger.Errorf("[etcdv3] etcd refuses to be read, listeners of %s are told nothing until it does not (it is tried again): %v", m.prefix, err)
	case first && now == notLetIn:
		logger.Errorf("[etcdv3] etcd does not let this process in, listeners of what has to be read (of %d prefix(es)) are told nothing until it does (it is tried again): %v", n, err)
	case first:
		logger.Warnf("[etcdv3] etcd cannot be watched, listeners of %d prefix(es) keep what they know and it is tried again: %v", n, err)
	}
}

// works notes that a mirror follows etcd, or has ended.
func (h *Hub) works(m *mirror) {
	h.mu.Lock()
	before := h.failing[m]
	delete(h.failing, m)
	last := before != 0 && h.countLocked(before) == 0
	n := len(h.mirrors) - len(h.failing)
	h.mu.Unlock()
	switch {
	case h.ctx.Err() != nil:
	case before == refused && m.ctx.Err() == nil:
		logger.Infof("[etcdv3] etcd lets %s be read again", m.prefix)
	case before == notLetIn && last && n > 0:
		logger.Infof("[etcdv3] etcd lets this process in again")
	case before == away && last && n > 0:
		logger.Infof("[etcdv3] etcd is watched again, %d prefix(es)", n)
	}
}

// countLocked is how many mirrors one kind of trouble keeps from following etcd.
func (h *Hub) countLocked(one trouble) int {
	n := 0
	for _, t := range h.failing {
		if t == one {
			n++
		}
	}
	return n
}
