// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
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
	requireThere(t, etcd, "/dubbo/shop/r1")
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
	l.RequireLast(t, "market") // "shop" was refused, and is not wanted
}

func TestConsumerThatStartsWithoutEtcdIsToldWhenItIsThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), greeterKey, "shop")
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
	known.RequireLast(t, "shop")
	assert.Empty(t, unknown.All())
}

func TestConsumerThatStartsWithoutEtcdGoesOnWithTheCacheFile(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	file := filepath.Join(t.TempDir(), "cache")
	before := testkit.OpenReport(t, etcd.Endpoint(), "file", file)
	testkit.Put(t, etcd.Client(), greeterKey, "shop,market")
	testkit.Put(t, etcd.Client(), greeterKey+"2", "shop")
	l := &listener{}
	require.Equal(t, "market shop", listen(t, before, greeter, l))
	require.Equal(t, "shop", listen(t, before, greeter+"2", l))
	testkit.Put(t, etcd.Client(), greeterKey, "shop,market,inn")
	l.RequireLast(t, "inn market shop")
	closeReport(t, before)
	etcd.Kill()

	after := newReport(t, etcd.Endpoint(), "timeout", "300", "file", file)
	changed, same := &listener{}, &listener{}
	require.Equal(t, "inn market shop", listen(t, after, greeter, changed))
	require.Equal(t, "shop", listen(t, after, greeter+"2", same))
	requireMapping(t, after, greeter, "inn market shop")
	etcd.Start()
	testkit.Put(t, etcd.Client(), greeterKey, "shop")
	changed.RequireLast(t, "shop")
	assert.Empty(t, same.All(), "it is what was returned")
}

func TestListenersHearWhatChangedWhileTheyWereCutOff(t *testing.T) {
	t.Parallel()
	for _, compacted := range []bool{false, true} {
		t.Run(fmt.Sprintf("compacted %v", compacted), func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			testkit.Put(t, etcd.Client(), greeterKey, "shop")
			testkit.Put(t, etcd.Client(), greeterKey+"2", "shop")
			// After a compaction it cannot always be told whether etcd is the store that
			// it was; what it lacks is then kept for a session.
			r := newReport(t, proxy.Addr(), "session", "2s")
			changed, gone := &listener{}, &listener{}
			require.Equal(t, "shop", listen(t, r, greeter, changed))
			require.Equal(t, "shop", listen(t, r, greeter+"2", gone))
			proxy.Cut()
			testkit.Put(t, etcd.Client(), greeterKey, "shop,market")
			revision := testkit.Delete(t, etcd.Client(), greeterKey+"2")
			if compacted {
				etcd.Compact(revision)
			}
			proxy.Restore()
			changed.RequireLast(t, "market shop")
			gone.RequireLast(t, "")
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
	l.RequireLast(t, "market shop")
	assert.Len(t, l.All(), 1)
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
	testkit.Put(t, etcd.Client(), greeterKey, "shop,gone") // whose provider has ended
	require.Equal(t, "gone shop", listen(t, b, greeter, l))
	etcd.Wipe()
	requireValue(t, etcd, greeterKey, "shop")
	requireThere(t, etcd, "/dubbo/shop/r1")
	l.RequireLast(t, "shop")
	assert.Len(t, l.All(), 1, "it was not told that there is none in between: %q", l.All())
	_, ok := testkit.Value(t, etcd.Client(), "/dubbo/shop/r0")
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
	d := testkit.NewDiscovery(t, etcd.Endpoint(), "session", "2s", "file-cache", "false")
	require.NoError(t, d.Register(&registry.DefaultServiceInstance{ServiceName: "shop", Host: "10.0.0.1", Port: 20000}))
	r := newReport(t, etcd.Endpoint())
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	for range 2 {
		testkit.DeleteAll(t, etcd.Client(), "/dubbo/")
		requireValue(t, etcd, greeterKey, "shop")
		requireThere(t, etcd, "/dubbo/shop/r1")
	}
}

// Nothing else of the process is on the etcd of its metadata report.
func TestAMappingThatSomebodyTakesAwayFromAProviderWithoutALeaseIsPutAgain(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	for range 2 {
		testkit.DeleteAll(t, etcd.Client(), "/dubbo/")
		requireValue(t, etcd, greeterKey, "shop")
		requireThere(t, etcd, "/dubbo/shop/r1")
		testkit.Put(t, etcd.Client(), greeterKey, "market") // by one that has read it before shop was there
		requireValue(t, etcd, greeterKey, "market,shop")
	}
	before := etcd.Metrics().Requests("Txn")
	for i := range 20 {
		testkit.Put(t, etcd.Client(), greeterKey, fmt.Sprintf("market,shop,app%d", i))
	}
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "inn"))
	requireValue(t, etcd, greeterKey, "market,shop,app19,inn")
	assert.LessOrEqual(t, etcd.Metrics().Requests("Txn")-before, 4, "what leaves its own there costs nothing")
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
	testkit.EnableAuth(t, etcd, "shop", "/dubbo/mapping/org.mine")
	r := newReport(t, etcd.Endpoint(), testkit.As("shop", testkit.Password, "timeout", "60s")...)
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

	wrong := newReport(t, etcd.Endpoint(), testkit.As("shop", "wr0ng", "timeout", "60s")...)
	err = wrong.RegisterServiceAppMapping(greeter, group, "shop")
	assert.ErrorContains(t, err, "authentication failed")
	assert.NotContains(t, err.Error(), "wr0ng")
}
