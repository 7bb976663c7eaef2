// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The defaults are those of RetryNTimes(1, 1000, MILLISECONDS) in Dubbo for
// Java (org.apache.dubbo.remoting.etcd.jetcd.JEtcdClientWrapper).
const (
	DefaultTimes    = 1
	DefaultInterval = time.Second
)

// A Policy says how long to wait before each retry and when to give up.
// Implementations hold no state of their own: one Policy serves any number of
// requests at the same time.
type Policy interface {
	// BackOff starts the schedule of one request. Its NextBackOff returns the
	// wait before the next retry, or backoff.Stop when there is to be none.
	BackOff() backoff.BackOff
}

// PolicyFunc makes a Policy of a function.
type PolicyFunc func() backoff.BackOff

// BackOff calls f.
func (f PolicyFunc) BackOff() backoff.BackOff { return f() }

// NTimes retries at most n times and waits interval before each. With n of
// zero (or less) nothing is retried.
func NTimes(n int, interval time.Duration) Policy {
	return PolicyFunc(func() backoff.BackOff {
		if n <= 0 { // releases of backoff differ in what WithMaxRetries makes of 0
			return &backoff.StopBackOff{}
		}
		return backoff.WithMaxRetries(backoff.NewConstantBackOff(interval), uint64(n))
	})
}

// Backoff retries without an end: the waits grow from initial to at most limit,
// by half each time, and each is spread by up to 50 % either way, so that
// processes that lost etcd in the same moment do not come back in the same
// moment.
func Backoff(initial, limit time.Duration) Policy {
	return PolicyFunc(func() backoff.BackOff {
		b := backoff.NewExponentialBackOff()
		b.InitialInterval = initial
		b.MaxInterval = limit
		b.Multiplier = 1.5
		b.RandomizationFactor = 0.5
		b.MaxElapsedTime = 0
		b.Reset()
		return b
	})
}
