// SPDX-License-Identifier: Apache-2.0

package listener

import "github.com/dubbogo/gost/log/logger"

// exceed notes that not all keys are mirrored.
func (m *mirror) exceed() {
	if !m.setPartial(true) {
		logger.Errorf("[etcdv3] there is more under %s than this process mirrors (%d keys, %d MiB): what is beyond that is left out", m.prefix, m.hub.cfg.MaxKeys, m.hub.cfg.MaxBytes>>20)
	}
}

// listLeftOut has the keys listed again, after some have gone, if there is room for those
// that were left out: they are not known.
func (m *mirror) listLeftOut() error {
	if !m.hasRoom(m.hub.cfg.exceeded) {
		return nil
	}
	m.stale = true
	m.hub.counts.relisted(reasonLimits)
	return errRelist
}

// setPartial notes whether there are more keys than the store has, and returns
// whether there were before.
func (s *store) setPartial(part bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.part = s.part, part
	return before
}

// hasRoom reports whether keys are left out, and there is much less by now than
// the limits allow.
func (s *store) hasRoom(exceeded func(keys int, bytes int64) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.part && !exceeded(len(s.keys)+len(s.keys)/8, s.bytes+s.bytes/8)
}
