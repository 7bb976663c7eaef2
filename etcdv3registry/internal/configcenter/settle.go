// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// settling is when a listener of a rule is told once more, counted from when it was
// added: the framework adds it, reads the rule, and applies what it has read. If it
// gets to that only after the listener was told of a newer one, it has the older one.
var settling = [...]time.Duration{time.Second, 10 * time.Second}

// settler is a rule that has a listener since a moment ago.
type settler struct {
	listeners int
	read      map[string]bool // what was read of it, as it was returned
}

// isRule reports whether a key is that of a rule, which may be applied twice.
func isRule(key string) bool {
	return strings.HasSuffix(key, constant.ConfiguratorSuffix) || strings.HasSuffix(key, constant.ScriptRouterRuleSuffix) ||
		routings[key[strings.LastIndexByte(key, '.')+1:]] != nil
}

// settle has a listener that was added told again what it was told, where something
// else was read meanwhile. It is called with Center.mu held.
func (c *Center) settle(s *subscription) {
	path := s.Key()
	if c.settling[path] == nil {
		c.settling[path] = &settler{read: map[string]bool{}}
	}
	c.settling[path].listeners++
	for _, after := range settling {
		time.AfterFunc(after, s.Again)
	}
	time.AfterFunc(settling[len(settling)-1]+time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.settling[path].listeners--; c.settling[path].listeners == 0 {
			delete(c.settling, path)
		}
	})
}

// hasRead notes what somebody was told of a rule who asked for it.
func (c *Center) hasRead(path, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.settling[path]; s != nil {
		s.read[value] = true
	}
}

// hasElse reports whether somebody who asked for a rule a moment ago was told
// something else than a value.
func (c *Center) hasElse(path, value string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.settling[path]
	return s != nil && (len(s.read) > 1 || len(s.read) == 1 && !s.read[value])
}
