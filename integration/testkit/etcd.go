// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// Quickly is an edit of a client that has it connect again at once when etcd is
// back.
func Quickly(c *clientv3.Config) {
	c.DialOptions = append(c.DialOptions, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	}))
}

// Do does something with etcd, which has LongPatience for it, and ends the test
// if that fails.
func Do(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), LongPatience)
	defer cancel()
	require.NoError(t, f(ctx))
}

// Get reads a key, or what opts say.
func Get(t testing.TB, client *clientv3.Client, key string, opts ...clientv3.OpOption) (response *clientv3.GetResponse) {
	t.Helper()
	Do(t, func(ctx context.Context) (err error) { response, err = client.Get(ctx, key, opts...); return err })
	return response
}

// List reads all keys below a prefix.
func List(t testing.TB, client *clientv3.Client, prefix string) *clientv3.GetResponse {
	t.Helper()
	return Get(t, client, prefix, clientv3.WithPrefix())
}

// Value returns what a key holds; ok is false if it does not exist.
func Value(t testing.TB, client *clientv3.Client, key string) (value string, ok bool) {
	t.Helper()
	for _, kv := range Get(t, client, key).Kvs {
		return string(kv.Value), true
	}
	return "", false
}

// Values returns the keys below a prefix, and what they hold.
func Values(t testing.TB, client *clientv3.Client, prefix string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, kv := range List(t, client, prefix).Kvs {
		values[string(kv.Key)] = string(kv.Value)
	}
	return values
}

// Keys returns the keys below a prefix, decoded, and their leases.
func Keys(t testing.TB, client *clientv3.Client, prefix string) map[string]clientv3.LeaseID {
	t.Helper()
	keys := map[string]clientv3.LeaseID{}
	for _, kv := range List(t, client, prefix).Kvs {
		key, err := url.QueryUnescape(string(kv.Key))
		require.NoError(t, err)
		keys[key] = clientv3.LeaseID(kv.Lease)
	}
	return keys
}

// Revisions returns the keys below a prefix, decoded, and when each was written.
func Revisions(t testing.TB, client *clientv3.Client, prefix string) map[string]int64 {
	t.Helper()
	keys := map[string]int64{}
	for _, kv := range List(t, client, prefix).Kvs {
		key, err := url.QueryUnescape(string(kv.Key))
		require.NoError(t, err)
		keys[key] = kv.ModRevision
	}
	return keys
}

// Put writes a key, and returns the revision of that.
func Put(t testing.TB, client *clientv3.Client, key, value string, opts ...clientv3.OpOption) (revision int64) {
	t.Helper()
	var response *clientv3.PutResponse
	Do(t, func(ctx context.Context) (err error) {
		response, err = client.Put(ctx, key, value, opts...)
		return err
	})
	return response.Header.Revision
}

// Delete deletes a key, or what opts say, and returns the revision of that.
func Delete(t testing.TB, client *clientv3.Client, key string, opts ...clientv3.OpOption) (revision int64) {
	t.Helper()
	var response *clientv3.DeleteResponse
	Do(t, func(ctx context.Context) (err error) { response, err = client.Delete(ctx, key, opts...); return err })
	return response.Header.Revision
}

// DeleteAll deletes all keys below a prefix.
func DeleteAll(t testing.TB, client *clientv3.Client, prefix string) {
	t.Helper()
	Delete(t, client, prefix, clientv3.WithPrefix())
}

// Revision returns that of the store.
func Revision(t testing.TB, client *clientv3.Client) int64 {
	t.Helper()
	return Get(t, client, "x").Header.Revision
}

// Leases returns those that etcd knows.
func Leases(t testing.TB, client *clientv3.Client) (leases []clientv3.LeaseID) {
	t.Helper()
	var response *clientv3.LeaseLeasesResponse
	Do(t, func(ctx context.Context) (err error) { response, err = client.Leases(ctx); return err })
	for _, l := range response.Leases {
		leases = append(leases, l.ID)
	}
	return leases
}

// Revoke ends a lease, and with it its keys.
func Revoke(t testing.TB, client *clientv3.Client, lease clientv3.LeaseID) {
	t.Helper()
	Do(t, func(ctx context.Context) error { _, err := client.Revoke(ctx, lease); return err })
}

// RequireWatchers waits until etcd has exactly n watchers: of what is followed, and of
// each key that is registered and the interface's, should somebody delete them.
func RequireWatchers(t testing.TB, etcd *etcdtest.Server, n int) {
	t.Helper()
	var got int
	ok := Eventually(func() bool {
		got = int(etcd.Metrics().Value(etcdtest.MetricWatchers, nil))
		return got == n
	})
	require.True(t, ok, "etcd has %d watchers, want %d", got, n)
}
