// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/dubbogo/gost/log/logger"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// Password is that of all users of etcd, Token that of all providers and
// consumers. Neither may be in the log.
const (
	Password = "s3cret-p4ss"
	Token    = "s3cret-t0ken"
)

// Main is [etcdtest.Main] for packages whose tests use the registry. All that is
// logged, at level debug too, is searched: one line with a secret, and the tests
// have failed.
func Main(m *testing.M, opts ...goleak.Option) {
	etcdtest.Main(searched{m}, opts...)
}

type searched struct{ m *testing.M }

func (s searched) Run() int {
	encoder := zap.NewDevelopmentEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	search := &search{}
	shown := zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stdout), zap.InfoLevel)
	log := zap.New(zapcore.NewTee(shown, search), zap.AddCaller(), zap.AddCallerSkip(1))
	logger.SetLogger(&logger.DubboLogger{Logger: log.Sugar(), DynamicLevel: zap.NewAtomicLevelAt(zap.DebugLevel)})

	code := s.m.Run()
	search.mu.Lock()
	defer search.mu.Unlock()
	for where, line := range search.found {
		fmt.Printf("--- FAIL: a secret of the tests is in the log, by %s: %s\n", where, line)
		code = 1
	}
	return code
}

// search is a core of zap that keeps, of each place that logs a secret, a line.
type search struct {
	mu    sync.Mutex
	found map[string]string
}

func (*search) Enabled(zapcore.Level) bool          { return true }
func (s *search) With([]zapcore.Field) zapcore.Core { return s }
func (*search) Sync() error                         { return nil }
func (s *search) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.AddCore(e, s)
}

func (s *search) Write(e zapcore.Entry, _ []zapcore.Field) error {
	ours := strings.Contains(e.Caller.File, "/etcdv3registry/")
	if !HasSecret(e.Message, ours) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil {
		s.found = map[string]string{}
	}
	s.found[e.Caller.TrimmedPath()] = e.Message
	return nil
}

// HasSecret says whether text has a secret that it must not have: what the
// registry logs has none, what dubbo-go logs may have tokens, which it logs with
// each URL of a provider.
func HasSecret(text string, ours bool) bool {
	return strings.Contains(text, Password) || ours && strings.Contains(text, Token)
}
