// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func metadataOf(application, revision string, updated int64) *info.MetadataInfo {
	meta := info.NewMetadataInfoWithParams(application, revision, map[string]*info.ServiceInfo{
		"org.e2e.Greeter:tri": {Name: greeter, Protocol: "tri", Path: greeter, Params: map[string]string{"side": "provider"}},
	})
	meta.LastUpdatedTime = updated
	return meta
}

func TestMetadataIsPublishedReadListedAndUnpublished(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	none, err := r.ListAppRevisions("shop")
	require.NoError(t, err)
	assert.Empty(t, none)

	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 11)))
	require.NoError(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop", "r2", 22)))
	require.NoError(t, r.PublishAppMetadata("shopping", "r3", metadataOf("shopping", "r3", 33)))
	testkit.Put(t, etcd.Client(), "/dubbo/shop/providers/tri%3A%2F%2F10.0.0.1", "") // of a registry, for an interface of that name

	value, ok := testkit.Value(t, etcd.Client(), "/dubbo/shop/r1")
	require.True(t, ok)
	var stored map[string]any
	require.NoError(t, json.Unmarshal([]byte(value), &stored))
	assert.Equal(t, "shop", stored["app"])
	assert.EqualValues(t, 11, stored["lastUpdatedTime"])

	other := newReport(t, etcd.Endpoint())
	meta, err := other.GetAppMetadata("shop", "r1")
	require.NoError(t, err)
	assert.Equal(t, "r1", meta.Revision)
	assert.Equal(t, greeter, meta.Services["org.e2e.Greeter:tri"].Name)
	revisions, err := other.ListAppRevisions("shop")
	require.NoError(t, err)
	assert.Equal(t, []report.AppRevision{{Revision: "r1", ModifyTime: 11}, {Revision: "r2", ModifyTime: 22}}, revisions)

	// The framework publishes it anew every day.
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 99)))
	revisions, err = other.ListAppRevisions("shop")
	require.NoError(t, err)
	assert.Equal(t, []report.AppRevision{{Revision: "r1", ModifyTime: 99}, {Revision: "r2", ModifyTime: 22}}, revisions)

	// It deletes what others published as well, and what is gone already.
	for range 2 {
		require.NoError(t, other.UnPublishAppMetadata("shop", "r1"))
		require.NoError(t, other.UnPublishAppMetadata("shop", "never"))
	}
	_, ok = testkit.Value(t, etcd.Client(), "/dubbo/shop/r1")
	assert.False(t, ok)
}

func TestMetadataOutlivesTheReport(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.OpenReport(t, etcd.Endpoint())
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	require.NoError(t, r.(io.Closer).Close())
	_, ok := testkit.Value(t, etcd.Client(), "/dubbo/shop/r1")
	assert.True(t, ok)
	_, ok = testkit.Value(t, etcd.Client(), "/dubbo/mapping/"+greeter)
	assert.True(t, ok)

	require.NoError(t, r.(io.Closer).Close(), "again")
	assert.Error(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	assert.Error(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	_, err := r.GetServiceAppMapping(greeter, group, &listener{})
	assert.Error(t, err)
	assert.NoError(t, r.RemoveServiceAppMappingListener(greeter, group))
}

func TestMissingMetadataIsAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint(), "timeout", "500")
	ask := func(revision string) func() error {
		return func() error {
			_, err := r.GetAppMetadata("shop", revision)
			return err
		}
	}
	testkit.AwaitError(t, "not been published", ask("never"))
	testkit.Put(t, etcd.Client(), "/dubbo/shop/broken", "{")
	testkit.AwaitError(t, "is not metadata", ask("broken"))
}

// After etcd was away, or emptied, an instance may be there before its
// metadata; the framework asks once, and then does without the instance.
func TestMetadataThatAppearsAMomentLaterIsFound(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r, later := newReport(t, etcd.Endpoint()), newReport(t, etcd.Endpoint())
	time.AfterFunc(300*time.Millisecond, func() { _ = later.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)) })
	meta, err := r.GetAppMetadata("shop", "r1")
	require.NoError(t, err)
	assert.Equal(t, "r1", meta.Revision)
}

// Two instances of an application publish the same revision at different
// times. Neither must put its own back when it looks after the other did.
func TestInstancesDoNotOverwriteEachOthersMetadata(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	a, b := newReport(t, proxy.Addr()), newReport(t, etcd.Endpoint())
	require.NoError(t, a.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	require.NoError(t, b.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 2)))
	accepted := proxy.Accepted()
	proxy.Cut()
	proxy.Restore()
	require.True(t, testkit.Eventually(func() bool { return proxy.Accepted() > accepted }))
	require.NoError(t, a.PublishAppMetadata("shop", "r2", metadataOf("shop", "r2", 1))) // it is connected
	time.Sleep(time.Second)                                                             // it looks within half of one
	revisions, err := b.ListAppRevisions("shop")
	require.NoError(t, err)
	assert.EqualValues(t, 2, revisions[0].ModifyTime)
}

func TestWithoutANameNothingIsAsked(t *testing.T) {
	t.Parallel()
	r := newReport(t, "127.0.0.1:1", "timeout", "60s")
	_, err := r.GetAppMetadata("shop", "") // an old provider's instance
	assert.ErrorContains(t, err, "no revision")
	_, err = r.ListAppRevisions("")
	assert.Error(t, err)
	assert.Error(t, r.PublishAppMetadata("", "r1", metadataOf("", "r1", 1)))
	assert.Error(t, r.PublishAppMetadata("shop", "r1", nil))
	assert.Error(t, r.UnPublishAppMetadata("shop", ""))
	assert.Error(t, r.RegisterServiceAppMapping("", group, "shop"))
	assert.Error(t, r.RegisterServiceAppMapping(greeter, group, ""))
	_, err = r.GetServiceAppMapping("", group, nil)
	assert.Error(t, err)
}

func TestNamespaceAndGroupAreInEveryKey(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint(), "metadata-report.namespace", "tenant", "metadata-report.group", "/fleet")
	require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)))
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "shop"))
	_, ok := testkit.Value(t, etcd.Client(), "/tenant/fleet/shop/r1")
	assert.True(t, ok)
	requireValue(t, etcd, "/tenant/fleet/mapping/"+greeter, "shop")
}

func TestReportWithWrongSettingsSaysSoInEveryCall(t *testing.T) {
	t.Parallel()
	r := testkit.OpenReport(t, "127.0.0.1:1", "session", "soon")
	require.NotNil(t, r.URL())
	_, err := r.GetServiceAppMapping(greeter, group, &listener{})
	assert.ErrorContains(t, err, "session")
	assert.ErrorContains(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop", "r1", 1)), "session")
	assert.ErrorContains(t, r.RegisterServiceAppMapping(greeter, group, "shop"), "session")
}

func TestURLHasNoPassword(t *testing.T) {
	t.Parallel()
	r := testkit.OpenReport(t, "127.0.0.1:1", testkit.As("shop", testkit.Password, "cycle.report", "false")...)
	assert.NotContains(t, r.URL().Password, "s3cret")
	assert.Equal(t, "etcdv3", r.URL().Protocol)
	assert.False(t, r.URL().GetParamBool("cycle.report", true), "the framework reads its own parameters from it")
}
