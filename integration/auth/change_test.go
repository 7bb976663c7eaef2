// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func switchOn(t *testing.T, client *clientv3.Client) {
	t.Helper()
	testkit.Do(t, func(ctx context.Context) error { _, err := client.AuthEnable(ctx); return err })
}

func switchOff(t *testing.T, root *clientv3.Client) {
	t.Helper()
	testkit.Do(t, func(ctx context.Context) error { _, err := root.AuthDisable(ctx); return err })
}

func setPassword(t *testing.T, root *clientv3.Client, user, password string) {
	t.Helper()
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.UserChangePassword(ctx, user, password)
		return err
	})
}

func TestAuthenticationIsSwitchedOnAndOff(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "switched")
	p := newProcess(t, "switched", etcd.Endpoint(), testkit.As("switched", testkit.Password)...)
	p.requireAll(t)
	for range 2 {
		switchOff(t, root)
		p.requireAll(t)
		switchOn(t, etcd.Client())
		p.requireAll(t)
	}
}

func TestWhoHasNoPasswordGoesOnWhenAuthenticationIsSwitchedOff(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "nobody")
	switchOff(t, root)
	p := newProcess(t, "nobody", etcd.Endpoint())
	p.requireAll(t)
	switchOn(t, etcd.Client())
	require.ErrorContains(t, p.registry.Register(testkit.Provider(p.service(), testkit.Address(9))), "user name is empty")
	require.ErrorContains(t, p.registry.LoadSubscribeInstances(testkit.Consumer("org.nobody.Other"), &testkit.Listener{}), "user name is empty")
	p.providers.RequireAddresses(t, p.addresses()...)
	switchOff(t, root)
	p.requireAll(t)
}

// A token of the old password is none any more. What was registered stays as long
// as its lease, what is watched goes on.
func TestAPasswordIsChangedAndChangedBack(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "changed")
	p := newProcess(t, "changed", etcd.Endpoint(), testkit.As("changed", testkit.Password)...)
	p.requireAll(t)
	for range 2 {
		setPassword(t, root, "changed", "another")
		begun := time.Now()
		require.ErrorContains(t, p.registry.Register(testkit.Provider(p.service(), testkit.Address(9))), "authentication failed")
		require.ErrorContains(t, p.registry.LoadSubscribeInstances(testkit.Consumer("org.changed.Other"), &testkit.Listener{}), "authentication failed")
		require.Less(t, time.Since(begun), 20*time.Second, "nobody waits")
		testkit.Put(t, root, p.key(7), "")
		p.providers.RequireAddresses(t, append(p.addresses(), testkit.Address(7))...)
		testkit.Delete(t, root, p.key(7))
		setPassword(t, root, "changed", testkit.Password)
		p.requireAll(t)
	}
}

// Without a password for longer than a lease lasts, a process has nothing in etcd.
func TestWhatWasLostWithoutThePasswordIsBackWithIt(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "without")
	p := newProcess(t, "without", etcd.Endpoint(), testkit.As("without", testkit.Password)...)
	p.requireAll(t)
	before := logtest.Now()
	setPassword(t, root, "without", "another")
	p.providers.RequireAddressesWithin(t, testkit.LongPatience)
	require.True(t, testkit.Eventually(func() bool {
		return len(before.Lines("etcd does not let this process in", "authentication failed")) > 0
	}))
	setPassword(t, root, "without", testkit.Password)
	p.providers.RequireAddressesWithin(t, testkit.LongPatience, p.addresses()...)
	p.requireAll(t)
}

func TestAPasswordThatIsChangedInItsFileNeedsNoRestart(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "filed")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(testkit.Password), 0o600))
	p := newProcess(t, "filed", etcd.Endpoint(), testkit.As("filed", "", "password-file", file)...)
	p.requireAll(t)
	require.NoError(t, os.WriteFile(file, []byte("another"), 0o600))
	setPassword(t, root, "filed", "another")
	p.requireAll(t)
}

// The process has one lease. A right to one of its keys lacks: etcd does not keep
// the lease alive any more.
func TestARightThatIsTakenAwayHarmsNothingElse(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "robbed")
	p := newProcess(t, "robbed", etcd.Endpoint(), testkit.As("robbed", testkit.Password)...)
	p.requireAll(t)
	inn := "org.robbed-inn.Greeter" // beside what it has the right to
	testkit.GrantPrefix(t, root, "robbed", "/dubbo/"+inn)
	heard := &testkit.Listener{}
	require.NoError(t, p.registry.Register(testkit.Provider(inn, testkit.Address(1))))
	testkit.Subscribe(t, p.registry, testkit.Consumer(inn), heard)
	heard.RequireAddresses(t, testkit.Address(1))
	// Heard of over the watch, which is there now.
	require.NoError(t, p.registry.Register(testkit.Provider(inn, testkit.Address(2))))
	heard.RequireAddresses(t, testkit.Address(1), testkit.Address(2))
	before := logtest.Now()
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.RoleRevokePermission(ctx, "robbed", "/dubbo/"+inn, clientv3.GetPrefixRangeEnd("/dubbo/"+inn))
		return err
	})
	heard.RequireAddressesWithin(t, testkit.LongPatience) // with the lease that was not kept alive
	assert.Empty(t, p.providers.TakeGone(), "the others were there all the time")
	p.requireAll(t)
	lines := before.Complaints(inn)
	require.Len(t, lines, 2, "one for each key")
	for _, line := range lines {
		assert.Contains(t, line, "etcdctl role grant-permission ROLE readwrite --prefix=true /dubbo/"+inn+"/providers/")
	}

	testkit.GrantPrefix(t, root, "robbed", "/dubbo/"+inn)
	heard.RequireAddressesWithin(t, testkit.LongPatience, testkit.Address(1), testkit.Address(2))
	p.requireAll(t)
}

// A role with all rights is taken away, and given again before the lease is over.
func TestARoleIsTakenAwayAndGiven(t *testing.T) {
	t.Parallel()
	etcd, root := start(t, "fired")
	p := newProcess(t, "fired", etcd.Endpoint(), testkit.As("fired", testkit.Password)...)
	p.requireAll(t)
	before := logtest.Now()
	testkit.Do(t, func(ctx context.Context) error { _, err := root.UserRevokeRole(ctx, "fired", "fired"); return err })
	require.ErrorContains(t, p.registry.Register(testkit.Provider(p.service(), testkit.Address(9))), "permission denied")
	require.ErrorContains(t, p.registry.LoadSubscribeInstances(testkit.Consumer("org.fired.Other"), &testkit.Listener{}), "permission denied")
	require.ErrorContains(t, p.report.RegisterServiceAppMapping("org.fired.Other", "mapping", "inn"), "permission denied")
	_, err := p.report.GetServiceAppMapping("org.fired.Other", "mapping", &mappings{})
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, p.center.PublishConfig(p.rule(), "dubbo", "another"), "permission denied")
	_, err = p.center.GetRule(p.rule())
	require.ErrorContains(t, err, "permission denied")
	assert.Len(t, before.Complaints("listeners of /dubbo/mapping/org.fired.Other", "etcdctl role grant-permission ROLE read --prefix=true /dubbo/mapping/org.fired.Other"), 1)
	testkit.Do(t, func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, "fired", "fired"); return err })
	p.requireAll(t)
}

// A user that etcd does not let in is an error, and no etcd that is away: nobody waits,
// and what a cache file has may be of another user.
func TestWhoIsNotLetInIsNotServedFromTheCacheFile(t *testing.T) {
	t.Parallel()
	etcd, _ := start(t, "wrong")
	file := filepath.Join(t.TempDir(), "cache")
	right := newProcess(t, "wrong", etcd.Endpoint(), testkit.As("wrong", testkit.Password, "file-cache", "true", "file", file, "save.file", "true")...)
	right.requireAll(t)
	require.True(t, testkit.Eventually(func() bool { content, _ := os.ReadFile(file); return len(content) > 0 }))

	before := logtest.Now()
	params := testkit.As("wrong", "wr0ng", "file-cache", "true", "file", file, "registry.timeout", "4s", "timeout", "4s")
	r := testkit.NewRegistry(t, etcd.Endpoint(), params...)
	heard := &testkit.Listener{}
	require.ErrorContains(t, r.LoadSubscribeInstances(testkit.Consumer(right.service()), heard), "authentication failed")
	require.NoError(t, r.Subscribe(testkit.Consumer(right.service()), heard), "as for overrides, of which a provider asks for no list")
	d := testkit.NewDiscovery(t, etcd.Endpoint(), params...)
	require.Empty(t, d.GetInstances(right.application()))
	m := testkit.NewReport(t, etcd.Endpoint(), params...)
	_, err := m.GetServiceAppMapping(right.service(), "mapping", nil)
	require.ErrorContains(t, err, "authentication failed")
	time.Sleep(5 * time.Second) // longer than it would wait
	require.Empty(t, heard.Addresses())
	assert.Empty(t, before.Lines("RUNNING ON CACHED", file))
}
