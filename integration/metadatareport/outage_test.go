// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const greeterKey = "/dubbo/mapping/" + greeter

func TestProviderThatStartsWithoutEtcdIsMappedWhenItIsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	r := newReport(t, etcd.Endpoint(), "timeout", "1000")
	begun := time.Now()
	for i := range 20 {
		require.NoError(t, r.RegisterServiceAppMapping(fmt.Sprintf("%s%d", greeter, i), group, "shop"))
	}
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	assert.Less(t, time.Since(begun), 5*time.Second, "they wait for one timeout in all")
	etcd.Start()
	for i := range 20 {
		requireValue(t, etcd, fmt.Sprintf("%s%d", greeterKey, i), "shop")
	}
	require.True(t, eventually(func() bool { _, ok := valueOf(t, etcd, "/dubbo/shop/r1"); return ok }))
}

func TestWithCheckAnEtcdThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	r := newReport(t, etcd.Endpoint(), noCache("timeout", "300", "check", "true")...)
	assert.ErrorContains(t, r.RegisterServiceAppMapping(greeter, group, "shop"), etcd.Endpoint())
	assert.ErrorContains(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)), etcd.Endpoint())
	_, err := r.GetServiceAppMapping(greeter, group, nil)
	assert.ErrorContains(t, err, etcd.Endpoint())
	l := &listener{}
	_, err = r.GetServiceAppMapping(greeter, group, l)
	assert.ErrorContains(t, err, etcd.Endpoint())

	etcd.Start()
	require.NoError(t, newReport(t, etcd.Endpoint()).RegisterServiceAppMapping(greeter, group, "market"))
	l.requireLast(t, "market") // "shop" was refused, and is not wanted
}

func TestConsumerThatStartsWithoutEtcdIsToldWhenItIsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	put(t, etcd, greeterKey, "shop")
	etcd.Kill()
	r := newReport(t, etcd.Endpoint(), noCache("timeout", "300")...)
	known, unknown := &listener{}, &listener{}
	begun := time.Now()
	require.Empty(t, listen(t, r, greeter, known))
	require.Empty(t, listen(t, r, greeter+"2", unknown))
	requireMapping(t, r, greeter, "")
	assert.Less(t, time.Since(begun), 5*time.Second)
	_, err := r.GetAppMetadata("shop", "r1")
	require.ErrorContains(t, err, etcd.Endpoint())
	etcd.Start()
	known.requireLast(t, "shop")
	assert.Empty(t, unknown.all())
}

func TestConsumerThatStartsWithoutEtcdGoesOnWithTheCacheFile(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "cache")
	before := reportOf(t, etcd.Endpoint(), "file", file)
	put(t, etcd, greeterKey, "shop,market")
	put(t, etcd, greeterKey+"2", "shop")
	l := &listener{}
	require.Equal(t, "market shop", listen(t, before, greeter, l))
	require.Equal(t, "shop", listen(t, before, greeter+"2", l))
	put(t, etcd, greeterKey, "shop,market,inn")
	l.requireLast(t, "inn market shop")
	closeReport(t, before)
	etcd.Kill()

	after := newReport(t, etcd.Endpoint(), "timeout", "300", "file", file)
	changed, same := &listener{}, &listener{}
	require.Equal(t, "inn market shop", listen(t, after, greeter, changed))
	require.Equal(t, "shop", listen(t, after, greeter+"2", same))
	requireMapping(t, after, greeter, "inn market shop")
	etcd.Start()
	put(t, etcd, greeterKey, "shop")
	changed.requireLast(t, "shop")
	assert.Empty(t, same.all(), "it is what was returned")
}

func TestListenersHearWhatChangedWhileTheyWereCutOff(t *testing.T) {
	t.Parallel()
	for _, compacted := range []bool{false, true} {
		t.Run(fmt.Sprintf("compacted %v", compacted), func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			put(t, etcd, greeterKey, "shop")
			put(t, etcd, greeterKey+"2", "shop")
			// After a compaction it cannot always be told whether etcd is the store that
			// it was; what it lacks is then kept for a session.
			r := newReport(t, proxy.Addr(), "session", "2s")
			changed, gone := &listener{}, &listener{}
			require.Equal(t, "shop", listen(t, r, greeter, changed))
			require.Equal(t, "shop", listen(t, r, greeter+"2", gone))
			proxy.Cut()
			put(t, etcd, greeterKey, "shop,market")
			response, err := etcd.Client().Delete(t.Context(), greeterKey+"2")
			require.NoError(t, err)
			if compacted {
				etcd.Compact(response.Header.Revision)
			}
			proxy.Restore()
			changed.requireLast(t, "market shop")
			gone.requireLast(t, "")
		})
	}
}

func TestARestartedEtcdChangesNothing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	l := &listener{}
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	require.Equal(t, "shop", listen(t, r, greeter, l))
	etcd.Kill()
	etcd.Start()
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "market"))
	l.requireLast(t, "market shop")
	assert.Len(t, l.all(), 1)
}

func TestWhatWasPublishedIsThereAgainAfterAWipe(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	a, b := newReport(t, etcd.Endpoint(), "session", "2s"), newReport(t, etcd.Endpoint())
	l := &listener{}
	require.NoError(t, a.RegisterServiceAppMapping(greeter, group, "shop"))
	require.NoError(t, a.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	require.NoError(t, a.PublishAppMetadata("shop", "r0", metadataOf("shop", "r0", 1)))
	require.NoError(t, a.UnPublishAppMetadata("shop", "r0"))
	put(t, etcd, greeterKey, "shop,gone") // whose provider has ended
	require.Equal(t, "gone shop", listen(t, b, greeter, l))
	etcd.Wipe()
	requireValue(t, etcd, greeterKey, "shop")
	require.True(t, eventually(func() bool { _, ok := valueOf(t, etcd, "/dubbo/shop/r1"); return ok }))
	l.requireLast(t, "shop")
	assert.Len(t, l.all(), 1, "it was not told that there is none in between: %q", l.all())
	_, ok := valueOf(t, etcd, "/dubbo/shop/r0")
	assert.False(t, ok)
}

// What this process wrote needs no watch to be there again: a provider may have
// none on the etcd of its metadata report.
func TestAProviderWithoutAnyWatchNoticesAWipe(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	etcd.Wipe()
	requireValue(t, etcd, greeterKey, "shop")
}

// A provider of an application has an instance, and with it a lease.
func TestAMappingThatSomebodyDeletesIsPutAgain(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	u, err := common.NewURL("service-discovery-registry://"+etcd.Endpoint(), common.WithLocation(etcd.Endpoint()),
		common.WithParams(url.Values{"registry": {"etcdv3"}, "session": {"2s"}, "file-cache": {"false"}}))
	require.NoError(t, err)
	d, err := extension.GetServiceDiscovery(u)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Destroy() })
	require.NoError(t, d.Register(&registry.DefaultServiceInstance{ServiceName: "shop", Host: "10.0.0.1", Port: 20000}))
	r := newReport(t, etcd.Endpoint())
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	for range 2 {
		_, err := etcd.Client().Delete(t.Context(), "/dubbo/", clientv3.WithPrefix())
		require.NoError(t, err)
		requireValue(t, etcd, greeterKey, "shop")
		require.True(t, eventually(func() bool { _, ok := valueOf(t, etcd, "/dubbo/shop/r1"); return ok }))
	}
}

func TestAnEtcdThatHangsIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint(), noCache("timeout", "500")...)
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	etcd.Pause()
	begun := time.Now()
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "market"))
	require.NoError(t, r.RegisterServiceAppMapping(greeter+"2", group, "market"))
	requireMapping(t, r, greeter, "")
	assert.Less(t, time.Since(begun), 5*time.Second)
	etcd.Resume()
	requireValue(t, etcd, greeterKey, "shop,market")
	requireValue(t, etcd, greeterKey+"2", "market")
}

func TestWhatEtcdRefusesIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	ctx, client := t.Context(), etcd.Client()
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", "s3cret"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "shop", "s3cret"); return err },
		func() error { _, err := client.RoleAdd(ctx, "shop"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "shop", "shop"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "shop", "/dubbo/mapping/org.mine", clientv3.GetPrefixRangeEnd("/dubbo/mapping/org.mine"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, step())
	}
	r := newReport(t, etcd.Endpoint(), "timeout", "60s", "test.username", "shop", "test.password", "s3cret")
	require.NoError(t, r.RegisterServiceAppMapping("org.mine.Greeter", group, "shop"))
	requireMapping(t, r, "org.mine.Greeter", "shop")
	require.Equal(t, "shop", listen(t, r, "org.mine.Greeter", &listener{}))

	begun := time.Now()
	assert.ErrorContains(t, r.RegisterServiceAppMapping(greeter, group, "shop"), "permission denied")
	assert.ErrorContains(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)), "permission denied")
	_, err := r.GetServiceAppMapping(greeter, group, &listener{})
	assert.ErrorContains(t, err, "permission denied")
	_, err = r.GetAppMetadata("shop", "r1")
	assert.ErrorContains(t, err, "permission denied")
	assert.Less(t, time.Since(begun), 20*time.Second)

	wrong := newReport(t, etcd.Endpoint(), "timeout", "60s", "test.username", "shop", "test.password", "wr0ng")
	err = wrong.RegisterServiceAppMapping(greeter, group, "shop")
	assert.ErrorContains(t, err, "authentication failed")
	assert.NotContains(t, err.Error(), "wr0ng")
}
