// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"errors"
	"sync"
	"time"

	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// skipLine is how often the log is told of keys under one prefix that cannot be
// used: whoever writes one can write any number of them.
const skipLine = time.Minute

// skipped tells the log of keys that cannot be used: of the first one, and then how
// many there were since.
type skipped struct {
	prefix string

	mu    sync.Mutex  // guards what follows
	more  int         // since the last line
	last  string      // of them
	timer *time.Timer // runs until there may be another line; nil: there may be one
	ended bool
}

func (s *skipped) add(key string, why error) {
	measure.Skip()
	what := "key " + layout.Show(key)
	var part sane.ParametersError
	if errors.As(why, &part) {
		what = part.Part() + " of " + what
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case s.timer != nil:
		s.more, s.last = s.more+1, what+": "+sane.Show(why.Error())
	default:
		logger.Warnf("[etcdv3] skipping %s: %s", what, sane.Show(why.Error()))
		s.timer = time.AfterFunc(skipLine, s.next)
	}
}

func (s *skipped) next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if s.countLocked() {
		s.timer = time.AfterFunc(skipLine, s.next)
	}
}

// countLocked tells the log how many there were, if there were any.
func (s *skipped) countLocked() bool {
	if s.more == 0 || s.ended {
		return false
	}
	logger.Warnf("[etcdv3] skipped %d more under %s since the last such line, the last was %s", s.more, layout.Show(s.prefix), s.last)
	s.more = 0
	return true
}

// end is called when nobody reads the prefix any more.
func (s *skipped) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
