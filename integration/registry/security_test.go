// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"os"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/global"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// startWithAuth runs an etcd on which the user "shop" may use /dubbo/org.a and
// what follows, and nothing else. The client may do all.
func startWithAuth(t *testing.T) (*etcdtest.Server, *clientv3.Client) {
	t.Helper()
	etcd := etcdtest.Start(t)
	return etcd, testkit.EnableAuth(t, etcd, "shop", "/dubbo/org.a")
}

func TestUserNameAndPasswordAreGivenToEtcd(t *testing.T) {
	t.Parallel()
	etcd, _ := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

// A provider may write below providers/ alone, a consumer below consumers/ alone or
// nowhere; both read. The key of the interface is nobody's.
func TestEachNeedsNoMoreRightsThanItsPart(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "provider", providersOfA)
	for user, prefix := range map[string]string{"consumer": "/dubbo/org.a.Greeter/consumers/", "reader": ""} {
		for _, step := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := root.UserAdd(ctx, user, testkit.Password); return err },
			func(ctx context.Context) error { _, err := root.RoleAdd(ctx, user); return err },
			func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, user, user); return err },
		} {
			testkit.Do(t, step)
		}
		if prefix != "" {
			testkit.GrantPrefix(t, root, user, prefix)
		}
	}
	for _, user := range []string{"provider", "consumer", "reader"} {
		testkit.Do(t, func(ctx context.Context) error {
			_, err := root.RoleGrantPermission(ctx, user, "/dubbo/org.a.Greeter/", clientv3.GetPrefixRangeEnd("/dubbo/org.a.Greeter/"), clientv3.PermissionType(clientv3.PermRead))
			return err
		})
	}
	as := func(user string) registry.Registry {
		return testkit.NewRegistry(t, etcd.Endpoint(), testkit.As(user, testkit.Password, "check", "true")...)
	}
	require.NoError(t, as("provider").Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	for _, user := range []string{"consumer", "reader"} {
		r, l := as(user), &testkit.Listener{}
		require.NoError(t, r.Register(testkit.Consumer("org.a.Greeter")), user)
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		l.RequireAddresses(t, "10.0.0.1:20000")
	}
	require.ErrorContains(t, as("reader").Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")),
		"etcdctl role grant-permission ROLE readwrite --prefix=true /dubbo/org.a.Greeter/providers/", "a provider that may not be one is an error")
	require.Len(t, testkit.Keys(t, root, "/dubbo/org.a.Greeter/consumers/"), 1)
}

func TestARightToAPrefixIsEnoughToHaveDeletedKeysBack(t *testing.T) {
	t.Parallel()
	etcd, root := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password, "session", "3s")...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))

	testkit.DeleteAll(t, root, providersOfA)
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, root, providersOfA)) == 1 }))
}

func TestWhatEtcdRefusesIsAnErrorAtOnceAndHarmsNothingElse(t *testing.T) {
	t.Parallel()
	etcd, _ := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))

	err := r.Register(testkit.Provider("org.z.Forbidden", "10.0.0.1:20000"))
	assert.ErrorContains(t, err, "permission denied")
	assert.ErrorContains(t, err, "/dubbo/org.z.Forbidden")
	assert.ErrorContains(t, r.LoadSubscribeInstances(testkit.Consumer("org.z.Forbidden"), &testkit.Listener{}), "permission denied")

	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")), "the registry goes on")
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

// dubbo-go panics over the error of one of several registries.
func TestReferenceThatHasOtherRegistriesGoesOnWithoutTheOneThatRefuses(t *testing.T) {
	t.Parallel()
	etcd, root := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
	of := func(u *common.URL, registries ...string) *common.URL {
		all := map[string]*global.RegistryConfig{}
		for _, name := range registries {
			all[name] = global.DefaultRegistryConfig()
		}
		u.SetAttribute(constant.RegistriesConfigKey, all)
		return u
	}
	l := &testkit.Listener{}
	for name, u := range map[string]*common.URL{
		"one":     of(testkit.Consumer("org.z.Forbidden"), "east"),
		"checked": of(testkit.Consumer("org.z.Forbidden", constant.CheckKey, "true"), "east", "west"),
	} {
		require.ErrorContains(t, r.LoadSubscribeInstances(u, l), "permission denied", name)
	}
	testkit.Subscribe(t, r, of(testkit.Consumer("org.z.Forbidden"), "east", "west"), l)

	testkit.GrantPrefix(t, root, "shop", "/dubbo/org.z.Forbidden")
	require.NoError(t, r.Register(testkit.Provider("org.z.Forbidden", "10.0.0.1:20000")))
	l.RequireAddressesWithin(t, testkit.LongPatience, "10.0.0.1:20000") // it is tried at most half a minute later
}

// A user is taken away and given back, and meanwhile the lease ends: nothing tells
// when it is the time to ask for another one.
func TestRegistrationThatEtcdRefusesForAWhileIsBack(t *testing.T) {
	t.Parallel()
	etcd, root := startWithAuth(t)
	// Without its user the client may hear of the end of the lease only when that
	// has to be over.
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password, "session", "3s")...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	ctx := t.Context()
	_, err := root.UserDelete(ctx, "shop")
	require.NoError(t, err)
	leases := testkit.Leases(t, root)
	require.Len(t, leases, 1)
	before := etcd.Metrics().Requests("LeaseGrant")
	testkit.Revoke(t, root, leases[0])
	require.True(t, testkit.Eventually(func() bool { return etcd.Metrics().Requests("LeaseGrant") > before+1 }), "it is tried, and refused, more than once")
	require.Empty(t, testkit.Keys(t, root, providersOfA))

	_, err = root.UserAdd(ctx, "shop", testkit.Password)
	require.NoError(t, err)
	_, err = root.UserGrantRole(ctx, "shop", "shop")
	require.NoError(t, err)
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, root, providersOfA)) == 1 }), "it is tried at most half a minute later")
}

func TestWrongCredentialsAreAnErrorAtOnceThatDoesNotShowThePassword(t *testing.T) {
	t.Parallel()
	etcd, _ := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", "wr0ng-p4ss")...)
	for _, err := range []error{
		r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")),
		r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter"), &testkit.Listener{}),
	} {
		require.Error(t, err)
		assert.ErrorContains(t, err, "authentication failed")
		assert.ErrorContains(t, err, etcd.Endpoint())
		assert.NotContains(t, err.Error(), "wr0ng-p4ss")
	}
}

func TestSimpleTokensThatARestartedEtcdForgotAreRenewed(t *testing.T) {
	t.Parallel()
	etcd, _ := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
	etcd.Kill()
	etcd.Start()
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, true))
	client := ca.Issue("shop")
	for _, address := range []string{etcd.Endpoint(), "https://" + etcd.Endpoint()} {
		r := testkit.NewRegistry(t, address, "ca-cert-file", ca.CertFile, "tls-cert-file", client.CertFile, "tls-key-file", client.KeyFile, "registry.group", "tls")
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
		l := &testkit.Listener{}
		testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)
		l.RequireAddresses(t, "10.0.0.1:20000")
	}

	register := func(r registry.Registry) func() error {
		return func() error { return r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")) }
	}
	plain := testkit.NewRegistry(t, etcd.Endpoint(), "check", "true", "registry.timeout", "30s")
	assert.Error(t, register(plain)(), "etcd wants TLS")
	untrusted := testkit.NewRegistry(t, "https://"+etcd.Endpoint(), "check", "true", "registry.timeout", "30s")
	testkit.AwaitError(t, "certificate", register(untrusted))
	named := testkit.NewRegistry(t, etcd.Endpoint(), "check", "true", "registry.timeout", "30s",
		"ca-cert-file", ca.CertFile, "tls-cert-file", client.CertFile, "tls-key-file", client.KeyFile, "tls-server-name", "somebody.else")
	testkit.AwaitError(t, "somebody.else", register(named))
}

func TestRegistryGoesOnWhileItsCertificateIsBeingReplaced(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, true))
	client := ca.Issue("shop")
	params := []string{"ca-cert-file", ca.CertFile, "tls-cert-file", client.CertFile, "tls-key-file", client.KeyFile}
	r := testkit.NewRegistry(t, etcd.Endpoint(), params...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))

	for _, file := range []string{client.CertFile, client.KeyFile} {
		require.NoError(t, os.Rename(file, file+".new"))
	}
	etcd.Kill() // connected again, with the certificate that there was
	etcd.Start()
	again := testkit.NewRegistry(t, etcd.Endpoint(), params...) // as for each export
	require.NoError(t, again.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	for _, file := range []string{client.CertFile, client.KeyFile} {
		require.NoError(t, os.Rename(file+".new", file))
	}
	l := &testkit.Listener{}
	testkit.Subscribe(t, again, testkit.Consumer("org.a.Greeter"), l)
	l.RequireAddresses(t, "10.0.0.1:20000", "10.0.0.2:20000")
}
