// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// Patience is how long a test waits for what has to happen, on a machine
	// that is busy with something else.
	Patience = 30 * time.Second
	// LongPatience is Patience where etcd has to be found again first, or a
	// lease has to end.
	LongPatience = 45 * time.Second
)

// Eventually waits until a condition holds, and says whether it does.
func Eventually(condition func() bool) bool {
	_, ok := Within(Patience, condition)
	return ok
}

// Within is Eventually with another limit. It also returns how long it took.
func Within(limit time.Duration, condition func() bool) (took time.Duration, ok bool) {
	return Poll(limit, 5*time.Millisecond, condition)
}

// Poll is Within for a condition that costs too much to be looked at all the
// time.
func Poll(limit, interval time.Duration, condition func() bool) (took time.Duration, ok bool) {
	for begin := time.Now(); ; time.Sleep(interval) {
		ok := condition()
		if took := time.Since(begin); ok || took > limit {
			return took, ok
		}
	}
}

// AwaitError waits until what is tried again and again fails with an error that has the
// text: on a machine that is busy the first of them may be that nobody has answered. It
// ends the test if it does not fail.
func AwaitError(t testing.TB, text string, try func() error) {
	t.Helper()
	var err error
	_, ok := Poll(LongPatience, 100*time.Millisecond, func() bool {
		err = try()
		require.Error(t, err)
		return strings.Contains(err.Error(), text)
	})
	require.True(t, ok, "%q is not in the error: %v", text, err)
}

// Await ends the test with a message unless a condition holds within a limit.
// What the message says is taken before: it cannot tell what was seen last.
func Await(t testing.TB, limit time.Duration, condition func() bool, msgAndArgs ...any) {
	t.Helper()
	_, ok := Within(limit, condition)
	require.True(t, ok, msgAndArgs...)
}
