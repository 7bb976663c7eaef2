// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ChaosSettings returns what CHAOS_SEED and CHAOS_DURATION say of a chaos test:
// which run it is (any), and for how long it goes on (20s).
func ChaosSettings(t testing.TB) (seed uint64, duration time.Duration) {
	t.Helper()
	var err error
	seed, duration = rand.Uint64(), 20*time.Second
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "CHAOS_SEED")
	}
	if s := os.Getenv("CHAOS_DURATION"); s != "" {
		duration, err = time.ParseDuration(s)
		require.NoError(t, err, "CHAOS_DURATION")
	}
	t.Logf("CHAOS_SEED=%d CHAOS_DURATION=%v", seed, duration)
	return seed, duration
}

// Journal is what a chaos test did, for the one who reads a failure.
type Journal struct {
	begin time.Time

	mu    sync.Mutex
	lines []string
}

// NewJournal begins a journal.
func NewJournal() *Journal { return &Journal{begin: time.Now()} }

// Add adds a line, which begins with the time since the journal began.
func (j *Journal) Add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%9.3f ", time.Since(j.begin).Seconds())+fmt.Sprintf(format, args...))
}

// Len returns the number of lines.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// Since returns the lines from number n on.
func (j *Journal) Since(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines[max(0, n):], "\n")
}

// Tail returns the last n lines.
func (j *Journal) Tail(n int) string { return j.Since(j.Len() - n) }
