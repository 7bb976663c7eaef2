// SPDX-License-Identifier: Apache-2.0

// Package retry decides whether a failed etcd request is sent again, and when.
//
// Three questions are kept apart:
//
//   - can this error pass at all: [CanPass];
//   - how long to wait, and how often: a [Policy], either [NTimes] (a fixed
//     number of retries, what Dubbo for Java does) or [Backoff] (exponential,
//     with jitter, without an end);
//   - the loop around the request: [Do].
//
// A request that answers a caller is run with NTimes, so that the caller hears
// within a bounded time; work that has to hold in the end (a registration, a
// watch) is run with Backoff until its context ends.
package retry
