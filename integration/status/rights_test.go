// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/metrics/probe"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// shop is a registry of the user of that name.
func shop(t testing.TB, etcd *etcdtest.Server) registry.Registry {
	t.Helper()
	return testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password, "session", "3s", "registry.timeout", "10s", "file-cache", "false")...)
}

// withdraw takes the rights to what begins with a prefix away again.
func withdraw(t *testing.T, root *clientv3.Client, user, prefix string) {
	t.Helper()
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.RoleRevokePermission(ctx, user, prefix, clientv3.GetPrefixRangeEnd(prefix))
		return err
	})
}

func TestARightToWriteThatIsTakenAwayIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/dubbo/")
	r := shop(t, etcd)
	require.NoError(t, r.Register(provider(0)))
	require.NoError(t, r.Register(testkit.Provider("org.b.Other", "10.0.0.1:20000")))
	s := seen{t, etcd.Endpoint()}
	c := s.await("ready", isReady)
	assert.Equal(t, "shop", c.User)
	s.awaitMetric(ready, is(1), "user", "shop")

	testkit.GrantPrefix(t, root, "shop", "/dubbo/org.b.")
	withdraw(t, root, "shop", "/dubbo/")
	c = s.awaitReasons("etcd refuses key /dubbo/" + service + "/providers/tri%3A%2F%2F10.0.0.1%3A20000%2F" + service)
	assert.Contains(t, c.Reasons[0], "etcdctl role grant-permission", "what to do")
	c = s.await("one refused, the other there", func(c etcdv3registry.ClusterStatus) bool { return c.Keys.RefusedCount == 1 && c.Keys.InEtcd == 1 })
	require.Len(t, c.Keys.Refused, 1)
	assert.Contains(t, c.Keys.Refused[0].Name, "/dubbo/"+service+"/providers/")
	assert.NotContains(t, c.Keys.Refused[0].Name, testkit.Token)
	assert.Contains(t, c.Keys.Refused[0].Reason, "permission denied")
	assert.False(t, c.Keys.Refused[0].Optional)
	assert.Equal(t, 1, c.Keys.Unregistered)
	s.awaitMetric(ready, is(0))
	s.awaitMetric(keysRefused, is(1))
	s.awaitMetric(requests, atLeast(1), "code", "PermissionDenied")

	testkit.GrantPrefix(t, root, "shop", "/dubbo/")
	c = s.await("ready again", isReady)
	assert.Equal(t, 2, c.Keys.InEtcd)
	assert.Empty(t, c.Keys.Refused)
	s.awaitMetric(keysRefused, is(0))
}

func TestARightToReadThatLacksIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/dubbo/org.b.")
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password, "file-cache", "false")...)
	require.NoError(t, r.Subscribe(testkit.Consumer(service), &testkit.Listener{}))
	s := seen{t, etcd.Endpoint()}
	c := s.awaitReasons("permission denied")
	assert.True(t, c.Connection.Connected)
	assert.Contains(t, strings.Join(c.Reasons, "\n"), "have not been read yet: /dubbo/"+service+"/")
	for _, m := range c.Mirrors {
		assert.False(t, m.Read)
	}
	s.awaitMetric(mirrorsUnread, atLeast(1))

	testkit.GrantPrefix(t, root, "shop", "/dubbo/")
	s.await("ready", isReady)
	s.awaitMetric(mirrorsUnread, is(0))
	s.awaitMetric(mirrorsStale, is(0))
}

// It works without, and so it is ready.
func TestAConsumerThatMayNotBeShownIsNoReasonNotToBeReady(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/dubbo/")
	r := shop(t, etcd)
	require.NoError(t, r.Register(provider(0)))
	require.NoError(t, r.Register(testkit.Consumer(service)))
	s := seen{t, etcd.Endpoint()}
	s.await("ready", func(c etcdv3registry.ClusterStatus) bool { return c.Ready && c.Keys.InEtcd == 2 })
	testkit.GrantPrefix(t, root, "shop", "/dubbo/"+service+"/providers/")
	testkit.Grant(t, root, "shop", "/dubbo/"+service, "")
	withdraw(t, root, "shop", "/dubbo/")
	c := s.await("the consumer refused, and ready", func(c etcdv3registry.ClusterStatus) bool { return c.Keys.RefusedCount == 1 && c.Ready })
	assert.True(t, c.Keys.Refused[0].Optional)
	assert.Contains(t, c.Keys.Refused[0].Name, "/consumers/")
}

func TestAPasswordThatIsWrongIsSeen(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.EnableAuth(t, etcd, "shop", "/dubbo/")
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", "wrong", "registry.timeout", "10s", "file-cache", "false")...)
	require.NoError(t, r.Subscribe(testkit.Consumer(service), &testkit.Listener{}))
	s := seen{t, etcd.Endpoint()}
	c := s.awaitReasons("invalid user ID or password")
	require.NotNil(t, c.Connection.LastError)
	assert.Contains(t, c.Connection.LastError.Message, "invalid user ID or password")
	s.awaitMetric(requests, atLeast(1), "method", "Authenticate", "code", "InvalidArgument")
}

// Neither while all is well, nor in a reason or an error.
func TestNothingThatAnOperatorSeesHasASecret(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/dubbo/")
	r := shop(t, etcd)
	require.NoError(t, r.Register(provider(0)))
	require.NoError(t, r.Register(testkit.Consumer(service)))
	testkit.Subscribe(t, r, testkit.Consumer(service), &testkit.Listener{})
	s := seen{t, etcd.Endpoint()}
	s.await("ready", isReady)
	requireNoSecret(t)
	withdraw(t, root, "shop", "/dubbo/")
	s.awaitReasons("permission denied")
	s.await("stale mirrors, and refused keys", func(c etcdv3registry.ClusterStatus) bool { return c.Keys.RefusedCount == 2 })
	requireNoSecret(t)
	etcd.Kill()
	s.await("away", func(c etcdv3registry.ClusterStatus) bool { return !c.Connection.Connected })
	requireNoSecret(t)
}

func requireNoSecret(t *testing.T) {
	t.Helper()
	for _, query := range []string{"", "?pretty"} {
		w := httptest.NewRecorder()
		etcdv3registry.StatusHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/status"+query, nil))
		for _, secret := range []string{testkit.Token, testkit.Password} {
			require.NotContains(t, w.Body.String(), secret)
		}
		require.Contains(t, w.Body.String(), service)
	}
	if err := probe.CheckReadiness(t.Context()); err != nil {
		require.NotContains(t, err.Error(), testkit.Token)
	}
}
