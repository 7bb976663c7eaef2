// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestAKeyIsUnderTheLeaseHoweverManyWithoutOneAreWrittenBesideIt(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for i := range 10 { // each with a lease of its own, taken in the middle of it
		r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
		var calls errgroup.Group
		for j := range 50 {
			static := testkit.Provider("org.b.Static", fmt.Sprintf("10.0.%d.%d:1", i, j), "dynamic", "false")
			calls.Go(func() error { return r.Register(static) })
			calls.Go(func() error { return r.UnRegister(static) })
		}
		calls.Go(func() error { return r.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.%d.1:1", i))) })
		require.NoError(t, calls.Wait())
		for key, lease := range testkit.Keys(t, etcd.Client(), providersOfA) {
			require.NotZero(t, lease, key)
		}
		r.Destroy()
		require.Empty(t, testkit.Keys(t, etcd.Client(), providersOfA))
	}
}

func TestDestroyWhileOthersRegisterLeavesNoKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for range 30 {
		r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
		require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
		var calls errgroup.Group
		for j := range 20 {
			calls.Go(func() error {
				_ = r.Register(testkit.Provider("org.a.Greeter", fmt.Sprintf("10.0.1.%d:1", j))) // or it is refused, being destroyed
				return nil
			})
		}
		r.Destroy()
		_ = calls.Wait()
		require.Empty(t, testkit.Keys(t, etcd.Client(), providersOfA), "the lease is given up at once, it does not run out")
	}
}

func TestARegistrationThatIsOvertakenByItsEndReturns(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), "registry.timeout", "20s", "file-cache", "false", "retry.times", "100", "retry.interval", "100ms")
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:1")))
	proxy.Cut()
	waits := make(chan error, 2)
	go func() { waits <- r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:1")) }()
	time.Sleep(300 * time.Millisecond) // it is being tried
	go func() { waits <- r.UnRegister(testkit.Provider("org.a.Greeter", "10.0.0.2:1")) }()
	time.Sleep(300 * time.Millisecond)
	proxy.Restore()
	for range 2 {
		select {
		case err := <-waits:
			require.NoError(t, err)
		case <-time.After(testkit.Patience):
			t.Fatal("somebody waits for a registration that was taken back")
		}
	}
	assert.Len(t, testkit.Keys(t, etcd.Client(), providersOfA), 1)
}

func TestAListenerThatUnsubscribesItselfLeavesNothingInTheCache(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "save.file", "true")
	self, next := &testkit.Listener{}, &testkit.Listener{}
	u := testkit.Consumer("org.a.Greeter")
	left := make(chan struct{})
	self.OnNotify = func(*registry.ServiceEvent) {
		assert.NoError(t, r.UnSubscribe(u, self))
		close(left)
	}
	testkit.Subscribe(t, r, u, self)
	putProvider(t, etcd.Client(), 1)
	<-left
	testkit.Subscribe(t, r, u, next)
	next.RequireAddresses(t, testkit.Address(1))
	testkit.Delete(t, etcd.Client(), providerKey(1, "tri"))
	next.RequireAddresses(t)
	requireSaved(t, file, func(s string) bool { return !strings.Contains(s, "10.0.0.1") })
	putProvider(t, etcd.Client(), 2)
	requireSaved(t, file, func(s string) bool { return strings.Contains(s, "10.0.0.2") && !strings.Contains(s, "10.0.0.1") })
}

func TestTheCacheFileHasWhatWasSavedLast(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "registry.cache")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file", file, "save.file", "true")
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), &testkit.Listener{})
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter", "category", "configurators"), &testkit.Listener{})
	var writes errgroup.Group
	for i := range 20 {
		writes.Go(func() error { return r.Register(testkit.Provider("org.a.Greeter", testkit.Address(i))) })
		writes.Go(func() error {
			_, err := etcd.Client().Put(t.Context(), "/dubbo/org.a.Greeter/configurators/"+url.QueryEscape(fmt.Sprintf("override://0.0.0.0/org.a.Greeter?category=configurators&timeout=%d", i)), "")
			return err
		})
	}
	require.NoError(t, writes.Wait())
	requireSaved(t, file, func(s string) bool { return strings.Count(s, "tri") == 20 && strings.Count(s, "override") == 20 })
	r.Destroy()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 20, strings.Count(string(content), "tri"))
}

func TestAPermissionThatIsGivenLaterIsNoticedOnAnIdleStore(t *testing.T) {
	t.Parallel()
	etcd, root := startWithAuth(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), testkit.As("shop", testkit.Password, "session", "2s", "registry.timeout", "1s", "file-cache", "false")...)
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.1:20000")))
	proxy.Cut()
	require.NoError(t, r.Register(testkit.Provider("org.b.Other", "10.0.0.1:20000")), "it is not known yet that it will be refused")
	proxy.Restore()
	require.NoError(t, r.Register(testkit.Provider("org.a.Greeter", "10.0.0.2:20000")))
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, root, providersOfA)) == 2 }))
	testkit.GrantPrefix(t, root, "shop", "/dubbo/org.b")
	require.True(t, testkit.Eventually(func() bool { return len(testkit.Keys(t, root, "/dubbo/org.b.Other/providers/")) == 1 }))
}

func TestBareMillisecondsAreATimeoutForTheFrameworkToo(t *testing.T) {
	t.Parallel()
	r := testkit.NewRegistry(t, "127.0.0.1:1", "registry.timeout", "20000")
	assert.Equal(t, "20s", r.GetURL().GetParam("registry.timeout", ""))
}

func TestNoLogLineOrErrorShowsAProvidersCredentials(t *testing.T) {
	t.Parallel()
	etcd, _ := startWithAuth(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
	u := testkit.Provider("org.z.Forbidden", "10.0.0.1:20000", "token", "t0ken")
	u.Username, u.Password = "me", "pr0vider"
	err := r.Register(u)
	require.ErrorContains(t, err, "permission denied")
	assert.NotContains(t, err.Error(), "pr0vider")
	assert.NotContains(t, err.Error(), "t0ken")
}

// A subscription that ends while etcd is being asked for it says nothing about
// etcd, and shortens the wait of no other.
func TestSubscriptionThatEndsWhileItIsReadIsNotEtcdsSilence(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	r := testkit.NewRegistry(t, proxy.Addr(), "check", "true", "registry.timeout", "1s")
	connected, ended := &testkit.Listener{}, &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Connected"), connected)

	proxy.Freeze()
	require.NoError(t, r.Subscribe(testkit.Consumer("org.a.Ended"), ended))
	time.Sleep(200 * time.Millisecond) // it has been asked for
	require.NoError(t, r.UnSubscribe(testkit.Consumer("org.a.Ended"), ended))
	proxy.Thaw()
	time.Sleep(1500 * time.Millisecond) // for longer than a wait may be

	assert.NoError(t, r.LoadSubscribeInstances(testkit.Consumer("org.a.Greeter"), &testkit.Listener{}))
}
