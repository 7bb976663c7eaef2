// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
)

const (
	// patience is how long a test waits for what should happen at once.
	patience = 20 * time.Second
	// poll is how often it looks.
	poll = 10 * time.Millisecond
	// brief is how long a request that must not be answered is given.
	brief = 300 * time.Millisecond
)

// TestMain finds the goroutines that a test leaves behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, client *clientv3.Client, key, value string) int64 {
	t.Helper()
	resp, err := client.Put(deadline(t, patience), key, value)
	require.NoError(t, err)
	return resp.Header.Revision
}

// get returns the value of a key, and "" where there is none.
func get(t *testing.T, client *clientv3.Client, key string) string {
	t.Helper()
	resp, err := client.Get(deadline(t, patience), key)
	require.NoError(t, err)
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func requireUnanswered(t *testing.T, client *clientv3.Client) {
	t.Helper()
	_, err := client.Get(deadline(t, brief), "key")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
