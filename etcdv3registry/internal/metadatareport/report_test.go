// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	mappings "dubbo.apache.org/dubbo-go/v3/metadata/mapping"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// withReport runs a test with a report of an etcd of its own.
func withReport(t *testing.T, change func(*extension.Config), test func(*testing.T, *etcdfake.Etcd, *Report)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		cfg := extension.Config{
			Root: "/dubbo", Services: "/services", Timeout: 3 * time.Second,
			Cluster: cluster.Config{Endpoints: []string{"etcd:2379"}, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t)},
		}
		if change != nil {
			change(&cfg)
		}
		r := New(cfg)
		defer func() { require.NoError(t, r.Close()) }()
		test(t, e, r)
	})
}

func metadataOf(application string) *info.MetadataInfo {
	return info.NewMetadataInfo(application, "")
}

func TestMetadataIsPublishedListedAndDeleted(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		old := metadataOf("shop")
		old.LastUpdatedTime = 1
		require.NoError(t, r.PublishAppMetadata("shop", "r1", old))
		require.NoError(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop")))
		meta, err := r.GetAppMetadata("shop", "r1")
		require.NoError(t, err)
		assert.Equal(t, "shop", meta.App)
		e.Put("/dubbo/shop/providers/tri", "of an interface of this name")
		revisions, err := r.ListAppRevisions("shop")
		require.NoError(t, err)
		assert.Len(t, revisions, 2)
		require.NoError(t, r.UnPublishAppMetadata("shop", "r1"))
		assert.NotContains(t, e.Keys(""), "/dubbo/shop/r1")
		_, err = r.GetAppMetadata("shop", "r1")
		require.ErrorIs(t, err, errNotPublished)

		e.Requests("Txn")
		require.NoError(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop")))
		assert.Zero(t, e.Requests("Txn"), "an instance publishes its metadata once for each service")
		e.Delete("/dubbo/shop/r2")
		time.Sleep(fresh)
		require.NoError(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop")))
		assert.Contains(t, e.Keys(""), "/dubbo/shop/r2")
		e.Put("/dubbo/shop/r3", "{")
		_, err = r.GetAppMetadata("shop", "r3")
		require.ErrorContains(t, err, "is not metadata")
	})
}

func TestMetadataWithoutANameIsAnError(t *testing.T) {
	withReport(t, nil, func(t *testing.T, _ *etcdfake.Etcd, r *Report) {
		require.ErrorIs(t, r.PublishAppMetadata("", "r1", metadataOf("")), layout.ErrNoApplication)
		require.ErrorContains(t, r.PublishAppMetadata("shop", "", metadataOf("shop")), "no revision")
		require.ErrorContains(t, r.PublishAppMetadata("shop", "r1", nil), "no metadata")
		require.Error(t, r.UnPublishAppMetadata("shop", ""))
		require.ErrorIs(t, r.RegisterServiceAppMapping("org.a.Greeter", "mapping", ""), layout.ErrNoApplication)
		require.ErrorContains(t, r.RegisterServiceAppMapping("", "mapping", "shop"), "no name")
		_, err := r.GetServiceAppMapping("", "mapping", nil)
		require.Error(t, err)
		require.Error(t, r.RemoveServiceAppMappingListener("", "mapping"))
		_, err = r.ListAppRevisions("")
		require.ErrorIs(t, err, layout.ErrNoApplication)
		_, err = r.GetAppMetadata("shop", "")
		require.Error(t, err)
	})
}

// follower of a mapping.
type mappingFollower struct{ told chan []string }

func newMappingFollower() *mappingFollower { return &mappingFollower{make(chan []string, 100)} }

func (f *mappingFollower) OnEvent(e observer.Event) error {
	f.told <- names(e.(*registry.ServiceMappingChangeEvent).GetServiceNames())
	return nil
}

func (f *mappingFollower) Stop() {}

func names(set *gxset.HashSet) (all []string) {
	for _, v := range set.Values() {
		all = append(all, v.(string))
	}
	return all
}

func TestMappingIsWrittenAndFollowed(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		f := newMappingFollower()
		set, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", f)
		require.NoError(t, err)
		assert.True(t, set.Empty())
		require.NoError(t, r.RegisterServiceAppMapping("org.a.Greeter", "mapping", "shop"))
		assert.Equal(t, []string{"shop"}, <-f.told)
		e.Put("/dubbo/mapping/org.a.Greeter", "shop,inn")
		assert.ElementsMatch(t, []string{"shop", "inn"}, <-f.told)
		set, err = r.GetServiceAppMapping("org.a.Greeter", "mapping", f)
		require.NoError(t, err, "again")
		assert.Equal(t, 2, set.Size())
		set, err = r.GetServiceAppMapping("org.a.Greeter", "mapping", nil)
		require.NoError(t, err)
		assert.Equal(t, 2, set.Size())
		require.NoError(t, r.RemoveServiceAppMappingListener("org.a.Greeter", "mapping"))
		e.Put("/dubbo/mapping/org.a.Greeter", "inn")
		synctest.Wait()
		assert.Empty(t, f.told)
	})
}

// Whoever can write to etcd can write any number of names, of any length.
func TestMappingOfTooManyNamesHasTheFirst(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		log := logtest.Record(t)
		many := []string{"shop", "a\nFORGED", strings.Repeat("x", 1<<20)}
		for i := range 10_000 {
			many = append(many, fmt.Sprint("evil", i))
		}
		e.Put("/dubbo/mapping/org.a.Greeter", strings.Join(many, ","))
		f := newMappingFollower()
		set, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", f)
		require.NoError(t, err)
		assert.Equal(t, sane.MaxNames, set.Size())
		assert.True(t, set.Contains("shop"))
		e.Put("/dubbo/mapping/org.a.Greeter", "shop,inn,"+strings.Join(many, ","))
		assert.Len(t, <-f.told, sane.MaxNames)
		lines := log.Take()
		assert.Less(t, len(strings.Join(lines, "")), 2000)
		assert.Contains(t, lines[0], "skipping key /dubbo/mapping/org.a.Greeter: 9803 of its names of applications are left out")
	})
}

func TestConflictIsTheFrameworksOwnError(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		n := 0
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if n++; method == "Txn" {
					e.Put("/dubbo/mapping/org.a.Greeter", fmt.Sprint("other", n))
				}
				return nil
			}
		})
		require.ErrorIs(t, r.RegisterServiceAppMapping("org.a.Greeter", "mapping", "shop"), report.ErrMappingCASConflict)
	})
}

func TestReportWaitsForNobodyBeforeAnInstance(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		cluster.AnnounceInstance(r.user.Cluster)
		for i := range 20 {
			require.NoError(t, r.RegisterServiceAppMapping(fmt.Sprintf("org.a.Greeter%d", i), "mapping", "shop"))
		}
		require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop")))
		assert.Len(t, e.Keys("/dubbo/"), 1)
		c, err := r.user.Get()
		require.NoError(t, err)
		require.NoError(t, c.PrepareInstance())
		assert.Len(t, e.Keys("/dubbo/"), 21)
		assert.Equal(t, 2, e.Requests("Txn"))

		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if method == "Txn" {
					return rpctypes.ErrGRPCPermissionDenied
				}
				return nil
			}
		})
		require.ErrorContains(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop")), "permission denied", "there is none to wait for any more")
	})
}

func TestReportGoesOnWithoutEtcd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	cached := func(cfg *extension.Config) { cfg.CachePath, cfg.SaveAtOnce = func(string) string { return path }, true }
	withReport(t, cached, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		e.Put("/dubbo/mapping/org.a.Greeter", "shop,inn")
		_, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", newMappingFollower())
		require.NoError(t, err)
	})
	withReport(t, cached, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		e.Away(true)
		f := newMappingFollower()
		set, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", f)
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"shop", "inn"}, names(set))
		set, err = r.GetServiceAppMapping("org.a.Other", "mapping", nil)
		require.NoError(t, err)
		assert.True(t, set.Empty())
		require.NoError(t, r.RegisterServiceAppMapping("org.a.Greeter", "mapping", "mine"))
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Equal(t, "mine", e.Keys("")["/dubbo/mapping/org.a.Greeter"])
		var last []string
		for len(f.told) > 0 { // perhaps of none first: whether it is written or read first is open
			last = <-f.told
		}
		assert.Equal(t, []string{"mine"}, last)
	})
	withReport(t, func(cfg *extension.Config) { cfg.Check = true }, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		e.Away(true)
		_, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", newMappingFollower())
		require.ErrorContains(t, err, "connection refused")
		require.ErrorContains(t, r.RegisterServiceAppMapping("org.a.Greeter", "mapping", "shop"), "connection refused")
		e.Away(false)
	})
}

func TestReportThatIsClosedSaysSo(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		assert.Nil(t, r.URL())
		require.NoError(t, r.PublishAppMetadata("shop", "r1", metadataOf("shop")))
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		assert.Contains(t, e.Keys(""), "/dubbo/shop/r1")
		require.ErrorIs(t, r.PublishAppMetadata("shop", "r2", metadataOf("shop")), extension.ErrClosed)
		for _, f := range []mappings.MappingListener{newMappingFollower(), nil} {
			_, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", f)
			require.ErrorIs(t, err, extension.ErrClosed)
		}
		require.NoError(t, r.RemoveServiceAppMappingListener("org.a.Greeter", "mapping"), "there is none any more")
	})
}
