// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

var errAway = status.Error(codes.Unavailable, "connection refused")

func TestDoReturnsAtOnceOnSuccess(t *testing.T) {
	calls := 0
	require.NoError(t, retry.Do(context.Background(), retry.NTimes(3, time.Hour), func(context.Context) error {
		calls++
		return nil
	}))
	assert.Equal(t, 1, calls)
}

func TestNTimesRetriesExactlyNTimesAndKeepsTheLastError(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 4} {
		calls := 0
		err := retry.Do(context.Background(), retry.NTimes(n, time.Microsecond), func(context.Context) error {
			calls++
			return fmt.Errorf("attempt %d: %w", calls, errAway)
		})
		assert.Equal(t, max(n, 0)+1, calls, "n=%d", n)
		assert.ErrorIs(t, err, errAway)
		assert.ErrorContains(t, err, fmt.Sprintf("attempt %d", calls))
	}
}

func TestDoDoesNotRetryWhatCannotPass(t *testing.T) {
	calls := 0
	err := retry.Do(context.Background(), retry.NTimes(5, time.Hour), func(context.Context) error {
		calls++
		return rpctypes.ErrPermissionDenied
	})
	assert.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
	assert.Equal(t, 1, calls)
}

func TestDoEndsWithItsContextWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	called := make(chan struct{})
	done := make(chan error)
	go func() {
		done <- retry.Do(ctx, retry.NTimes(1, time.Hour), func(context.Context) error {
			close(called)
			return errAway
		})
	}()
	<-called
	cancel()
	err := <-done
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, errAway)
}

func TestDoSendsNothingWhenItsContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := retry.Do(ctx, retry.NTimes(1, 0), func(context.Context) error {
		t.Error("op was run")
		return nil
	})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestBackoffGrowsToItsLimitWithJitterAndHasNoEnd(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, time.Second
	b := retry.Backoff(initial, limit).BackOff()
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		wait := b.NextBackOff()
		require.NotEqual(t, backoff.Stop, wait)
		require.LessOrEqual(t, wait, limit*3/2)
		if i == 0 {
			require.GreaterOrEqual(t, wait, initial/2)
			require.LessOrEqual(t, wait, initial*3/2)
		}
		if i > 20 {
			require.GreaterOrEqual(t, wait, limit/2)
			seen[wait] = true
		}
	}
	assert.Greater(t, len(seen), 100, "the waits are spread")
}

func TestSchedulesOfOnePolicyAreIndependent(t *testing.T) {
	p := retry.NTimes(1, time.Second)
	first, second := p.BackOff(), p.BackOff()
	assert.Equal(t, time.Second, first.NextBackOff())
	assert.Equal(t, backoff.Stop, first.NextBackOff())
	assert.Equal(t, time.Second, second.NextBackOff())
}

func TestCanPass(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{context.Canceled, false},
		{context.DeadlineExceeded, true},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), true},
		{errors.New("broken pipe"), true},
		{clientv3.ErrNoAvailableEndpoints, false},
		{errAway, true},
		{fmt.Errorf("put: %w", errAway), true},
		{rpctypes.ErrNoLeader, true},
		{rpctypes.ErrLeaderChanged, true},
		{rpctypes.ErrTimeout, true},
		{rpctypes.ErrTooManyRequests, true},
		{rpctypes.ErrNoSpace, true},
		{rpctypes.ErrLeaseNotFound, true},
		{rpctypes.ErrGRPCLeaseNotFound, true},
		{rpctypes.ErrInvalidAuthToken, true},
		{rpctypes.ErrGRPCInvalidAuthToken, true},
		{rpctypes.ErrPermissionDenied, false},
		{fmt.Errorf("put: %w", rpctypes.ErrPermissionDenied), false},
		{rpctypes.ErrGRPCPermissionDenied, false},
		{rpctypes.ErrAuthFailed, false},
		{rpctypes.ErrUserEmpty, false},
		{rpctypes.ErrTooManyOps, false},
		{rpctypes.ErrRequestTooLarge, false},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max (3000000 vs. 2097152)"), false},
		{rpctypes.ErrCompacted, false},
		{status.Error(codes.Unimplemented, "unknown service"), false},
		{status.Error(codes.Unauthenticated, "who are you"), false},
		// What etcd's client makes of a watch that etcd does not create.
		{fmt.Errorf("watch: %w", errors.New(rpctypes.ErrGRPCPermissionDenied.Error())), false},
		{fmt.Errorf("watch: %w", errors.New(rpctypes.ErrGRPCUserEmpty.Error())), false},
		{fmt.Errorf("watch: %w", errors.New(rpctypes.ErrGRPCInvalidAuthToken.Error())), true},
		{errors.New("rpc error: code = PermissionDenied desc = somebody else's"), true},
		{errors.New("rpc error: code = "), true},
		{status.Error(codes.Canceled, "context canceled"), true},
		{status.Error(codes.Canceled, "grpc: the client connection is closing"), false},
	} {
		assert.Equal(t, tc.want, retry.CanPass(tc.err), "%v", tc.err)
	}
}

func TestKindsOfErrors(t *testing.T) {
	assert.True(t, retry.LeaseLost(fmt.Errorf("put: %w", rpctypes.ErrLeaseNotFound)))
	assert.True(t, retry.LeaseLost(rpctypes.ErrGRPCLeaseNotFound))
	assert.False(t, retry.LeaseLost(errAway))
	assert.False(t, retry.LeaseLost(nil))
	assert.True(t, retry.Compacted(rpctypes.ErrCompacted))
	assert.True(t, retry.Compacted(rpctypes.ErrGRPCCompacted))
	assert.False(t, retry.Compacted(nil))
	for _, err := range []error{rpctypes.ErrInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision, fmt.Errorf("watch: %w", rpctypes.ErrUserEmpty), errors.New(rpctypes.ErrGRPCInvalidAuthToken.Error())} {
		assert.True(t, retry.TokenRefused(err), err)
	}
	assert.False(t, retry.TokenRefused(rpctypes.ErrAuthFailed))
	assert.True(t, retry.NotLetIn(fmt.Errorf("put: %w", rpctypes.ErrAuthFailed)))
	assert.True(t, retry.NotLetIn(rpctypes.ErrGRPCUserEmpty))
	assert.False(t, retry.NotLetIn(rpctypes.ErrPermissionDenied))
	assert.False(t, retry.NotLetIn(nil))
	assert.False(t, retry.TokenRefused(nil))
	assert.True(t, retry.Denied(fmt.Errorf("watch: %w", errors.New(rpctypes.ErrGRPCPermissionDenied.Error()))))
}

// It makes no timer, either: in a bubble of synctest Go's race detector breaks down
// when several goroutines find one due at the same moment.
func TestNothingToWaitForIsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10_000 {
					if !retry.Sleep(t.Context(), 0) {
						t.Error("it has waited")
						return
					}
				}
			})
		}
		all.Wait()
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		assert.False(t, retry.Sleep(ended, 0))
		assert.False(t, retry.Sleep(ended, -time.Second))
		assert.False(t, retry.Sleep(ended, time.Nanosecond))
	}
}

func ExampleDo() {
	attempts := 0
	err := retry.Do(context.Background(), retry.NTimes(1, time.Millisecond), func(context.Context) error {
		if attempts++; attempts == 1 {
			return status.Error(codes.Unavailable, "connection refused")
		}
		return nil
	})
	fmt.Println(attempts, err)
	// Output: 2 <nil>
}

// Twice more, a second later each time.
func ExampleNTimes() {
	schedule := retry.NTimes(2, time.Second).BackOff()
	for range 3 {
		fmt.Println(schedule.NextBackOff() == backoff.Stop)
	}
	// Output:
	// false
	// false
	// true
}

// Nothing that etcd refuses is tried again; that nobody answers may pass.
func ExampleCanPass() {
	fmt.Println(retry.CanPass(rpctypes.ErrPermissionDenied), retry.CanPass(rpctypes.ErrNoLeader))
	// Output: false true
}
