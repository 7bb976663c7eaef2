// SPDX-License-Identifier: Apache-2.0

// Package logtest lets tests read dubbo-go's log.
package logtest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dubbogo/gost/log/logger"
	"go.uber.org/zap"
)

// Log is what has been logged in this process since Record.
type Log struct {
	mu    sync.Mutex // guards lines
	lines []string
}

// recording is the Log of the test that records; nil: none does.
var recording atomic.Pointer[Log]

// Record records what is logged until the test ends, whoever logs: goroutines of
// before, too. Only one test of a process may do so at a time.
func Record(t testing.TB) *Log {
	l := &Log{}
	recording.Store(l)
	t.Cleanup(func() { recording.Store(nil) })
	return l
}

// dubbo-go's logger is a variable that nothing guards: it is replaced before
// anything runs, and never again.
func init() { logger.SetLogger(switched{plain(logger.GetLogger())}) }

// plain has the caller of a line be who logged it, not switched.
func plain(l logger.Logger) logger.Logger {
	if d, ok := l.(*logger.DubboLogger); ok {
		if s, ok := d.Logger.(*zap.SugaredLogger); ok {
			return s.WithOptions(zap.AddCallerSkip(2))
		}
	}
	return l
}

// switched is a logger that goes on as it was while nobody records.
type switched struct{ logger.Logger }

func (s switched) add(level, format string, args []any, otherwise func(string, ...any)) {
	if l := recording.Load(); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, level+" "+fmt.Sprintf(format, args...))
		return
	}
	otherwise(format, args...)
}

// Infof is that of logger.Logger, as are the other two.
func (s switched) Infof(format string, args ...any) { s.add("INFO", format, args, s.Logger.Infof) }

// Warnf see Infof.
func (s switched) Warnf(format string, args ...any) { s.add("WARN", format, args, s.Logger.Warnf) }

// Errorf see Infof.
func (s switched) Errorf(format string, args ...any) { s.add("ERROR", format, args, s.Logger.Errorf) }

// Take returns what was logged since it was called last, as "LEVEL text".
func (l *Log) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// Lines is Take, but for the lines that do not contain text.
func (l *Log) Lines(text string) (found []string) {
	for _, line := range l.Take() {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
