// SPDX-License-Identifier: Apache-2.0

// Package logtest lets tests read what this module logs. Whatever imports it has
// all of it kept.
package logtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dubbogo/gost/log/logger"
)

var kept struct {
	mu    sync.Mutex
	lines []string // "WARN [etcdv3] ..."
}

// dubbo-go's logger is a variable that nothing guards: it is replaced before
// anything runs, and never again.
func init() { logger.SetLogger(keeping{logger.GetLogger()}) }

// keeping keeps the lines of this module.
type keeping struct{ logger.Logger }

func keep(level, format string, args []any) {
	line := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(line, "[etcdv3]") {
		return
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.lines = append(kept.lines, level+" "+line)
}

// Infof is that of logger.Logger, as are the other two.
func (k keeping) Infof(format string, args ...any) {
	keep("INFO", format, args)
	k.Logger.Infof(format, args...)
}

// Warnf see Infof.
func (k keeping) Warnf(format string, args ...any) {
	keep("WARN", format, args)
	k.Logger.Warnf(format, args...)
}

// Errorf see Infof.
func (k keeping) Errorf(format string, args ...any) {
	keep("ERROR", format, args)
	k.Logger.Errorf(format, args...)
}

// A Mark is a place in the log.
type Mark int

// Now is where the log ends.
func Now() Mark {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return Mark(len(kept.lines))
}

// Lines returns the lines since then that contain all of these texts, as "LEVEL
// text". Tests that run in parallel tell theirs by a name that only they use.
func (m Mark) Lines(texts ...string) []string {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(kept.lines[m:]), func(line string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
	})
}

// Complaints is Lines, but for those that only inform.
func (m Mark) Complaints(texts ...string) []string {
	return slices.DeleteFunc(m.Lines(texts...), func(line string) bool { return strings.HasPrefix(line, "INFO ") })
}
