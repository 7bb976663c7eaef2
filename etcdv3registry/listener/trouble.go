// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// fails notes that a mirror cannot follow etcd. An etcd that is away is told
// once, not for every prefix; what it refuses is told for each.
func (h *Hub) fails(m *mirror, err error) {
	h.mu.Lock()
	_, known := h.failing[m]
	first := len(h.failing) == 0
	h.failing[m] = struct{}{}
	n := len(h.mirrors)
	h.mu.Unlock()
	switch {
	case known:
	case !retry.CanPass(err):
		logger.Errorf("[etcdv3] etcd refuses to be read, listeners of %s are told nothing until it does not (it is tried again): %v", m.prefix, err)
	case first:
		logger.Warnf("[etcdv3] etcd cannot be watched, listeners of %d prefix(es) keep what they know and it is tried again: %v", n, err)
	}
}

// works notes that a mirror follows etcd, or has ended.
func (h *Hub) works(m *mirror) {
	h.mu.Lock()
	_, failed := h.failing[m]
	delete(h.failing, m)
	last := failed && len(h.failing) == 0
	n := len(h.mirrors)
	h.mu.Unlock()
	if last && h.ctx.Err() == nil {
		logger.Infof("[etcdv3] etcd is watched again, all %d prefix(es)", n)
	}
}
