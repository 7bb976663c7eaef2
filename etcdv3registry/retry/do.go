// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Do runs op until it succeeds, fails with an error that cannot pass, the
// policy gives up, or ctx ends. op gets ctx and should bound each attempt by
// itself.
//
// The error returned wraps the last error of op; if ctx ended while Do waited,
// it wraps the error of ctx as well. op is not run if ctx has already ended.
func Do(ctx context.Context, p Policy, op func(context.Context) error) error {
	if ctx.Err() != nil {
		return Ended(ctx)
	}
	schedule := p.BackOff()
	for attempts := 1; ; attempts++ {
		err := op(ctx)
		if err == nil || !CanPass(err) {
			return err
		}
		if ctx.Err() != nil {
			return gaveUp(attempts, err, ctx.Err())
		}
		wait := schedule.NextBackOff()
		if wait == backoff.Stop {
			return gaveUp(attempts, err, nil)
		}
		if !Sleep(ctx, wait) {
			return gaveUp(attempts, err, ctx.Err())
		}
	}
}

// Ended returns ctx.Err(), with the cause of the end if there is one.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Sleep waits for d and reports true, or reports false as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) bool {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func gaveUp(attempts int, last, ended error) error {
	switch {
	case ended != nil:
		return fmt.Errorf("%w after %d attempt(s), the last one: %w", ended, attempts, last)
	case attempts > 1:
		return fmt.Errorf("%d attempts failed, the last one: %w", attempts, last)
	default:
		return last
	}
}
