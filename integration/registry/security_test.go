// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const password = "s3cret-p4ss"

// startWithAuth runs an etcd on which the user "shop" may use /dubbo/org.a and
// what follows, and nothing else.
func startWithAuth(t *testing.T) *etcdtest.Server {
	t.Helper()
	etcd := etcdtest.Start(t)
	ctx, client := t.Context(), etcd.Client()
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", password); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "shop", password); return err },
		func() error { _, err := client.RoleAdd(ctx, "shop"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "shop", "/dubbo/org.a", clientv3.GetPrefixRangeEnd("/dubbo/org.a"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserGrantRole(ctx, "shop", "shop"); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, step())
	}
	return etcd
}

func registryAs(t *testing.T, address, user, password string) registry.Registry {
	t.Helper()
	u := registryURL(t, address)
	u.Username, u.Password = user, password
	r, err := extension.GetRegistry("etcdv3", u)
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	return r
}

func TestUserNameAndPasswordAreGivenToEtcd(t *testing.T) {
	t.Parallel()
	etcd := startWithAuth(t)
	r := registryAs(t, etcd.Endpoint(), "shop", password)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.2:20000")))
	l.requireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

func TestARightToAPrefixIsEnoughToHaveDeletedKeysBack(t *testing.T) {
	t.Parallel()
	etcd := startWithAuth(t)
	u := registryURL(t, etcd.Endpoint(), "session", "3s")
	u.Username, u.Password = "shop", password
	r, err := extension.GetRegistry("etcdv3", u)
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))

	root := etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "root", password })
	_, err = root.Delete(t.Context(), providersOfA, clientv3.WithPrefix())
	require.NoError(t, err)
	require.True(t, eventually(func() bool { return len(keys(t, root, providersOfA)) == 1 }))
}

func TestWhatEtcdRefusesIsAnErrorAtOnceAndHarmsNothingElse(t *testing.T) {
	t.Parallel()
	etcd := startWithAuth(t)
	r := registryAs(t, etcd.Endpoint(), "shop", password)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))

	err := r.Register(provider("org.z.Forbidden", "10.0.0.1:20000"))
	assert.ErrorContains(t, err, "permission denied")
	assert.ErrorContains(t, err, "/dubbo/org.z.Forbidden")
	assert.ErrorContains(t, r.LoadSubscribeInstances(consumer("org.z.Forbidden"), newListener()), "permission denied")

	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.2:20000")), "the registry goes on")
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	l.requireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

func TestWrongCredentialsAreAnErrorAtOnceThatDoesNotShowThePassword(t *testing.T) {
	t.Parallel()
	etcd := startWithAuth(t)
	r := registryAs(t, etcd.Endpoint(), "shop", "wr0ng-p4ss")
	for _, err := range []error{
		r.Register(provider("org.a.Greeter", "10.0.0.1:20000")),
		r.LoadSubscribeInstances(consumer("org.a.Greeter"), newListener()),
	} {
		require.Error(t, err)
		assert.ErrorContains(t, err, "authentication failed")
		assert.ErrorContains(t, err, etcd.Endpoint())
		assert.NotContains(t, err.Error(), "wr0ng-p4ss")
	}
}

func TestSimpleTokensThatARestartedEtcdForgotAreRenewed(t *testing.T) {
	t.Parallel()
	etcd := startWithAuth(t)
	r := registryAs(t, etcd.Endpoint(), "shop", password)
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
	etcd.Kill()
	etcd.Start()
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.2:20000")))
	l.requireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, true))
	client := ca.Issue("shop")
	for _, address := range []string{etcd.Endpoint(), "https://" + etcd.Endpoint()} {
		r := newRegistry(t, address, "ca-cert-file", ca.CertFile, "tls-cert-file", client.CertFile, "tls-key-file", client.KeyFile, "registry.group", "tls")
		require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
		l := newListener()
		loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)
		l.requireAddresses(t, "10.0.0.1:20000")
	}

	plain := newRegistry(t, etcd.Endpoint(), "check", "true", "registry.timeout", "2s")
	assert.Error(t, plain.Register(provider("org.a.Greeter", "10.0.0.1:20000")), "etcd wants TLS")
	untrusted := newRegistry(t, "https://"+etcd.Endpoint(), "check", "true", "registry.timeout", "2s")
	assert.ErrorContains(t, untrusted.Register(provider("org.a.Greeter", "10.0.0.1:20000")), "certificate")
	named := newRegistry(t, etcd.Endpoint(), "check", "true", "registry.timeout", "2s",
		"ca-cert-file", ca.CertFile, "tls-cert-file", client.CertFile, "tls-key-file", client.KeyFile, "tls-server-name", "somebody.else")
	assert.ErrorContains(t, named.Register(provider("org.a.Greeter", "10.0.0.1:20000")), "somebody.else")
}

// Graceful shutdown runs the framework's callbacks. Not parallel: they end
// everything that this process has registered.
func TestTheShutdownCallbackTakesAllKeysAwayAtOnce(t *testing.T) {
	etcd := etcdtest.Start(t)
	r := newRegistry(t, etcd.Endpoint(), "session", "10m")
	require.NoError(t, r.Register(provider("org.a.Greeter", "10.0.0.1:20000")))
	require.NoError(t, r.Register(consumer("org.b.Other")))
	l := newListener()
	loadAndSubscribe(t, r, consumer("org.a.Greeter"), l)

	for callback := extension.GetAllCustomShutdownCallbacks().Front(); callback != nil; callback = callback.Next() {
		callback.Value.(func())()
	}
	all := keys(t, etcd.Client(), "")
	assert.Len(t, all, 2, "%v", all) // the keys of the interfaces
	leases, err := etcd.Client().Leases(context.Background())
	require.NoError(t, err)
	assert.Empty(t, leases.Leases)
	l.requireAddresses(t) // it hears of it, too

	assert.ErrorContains(t, r.Register(provider("org.a.Greeter", "10.0.0.3:20000")), "shutting down")
	assert.NoError(t, r.UnRegister(provider("org.a.Greeter", "10.0.0.1:20000")))
}
