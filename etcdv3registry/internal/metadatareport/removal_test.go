// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// putMetadata puts metadata that was published some time ago; zero: it does not say when.
func putMetadata(e *etcdfake.Etcd, revision string, ago time.Duration) {
	published := time.Now().Add(-ago).UnixMilli()
	if ago == 0 {
		published = 0
	}
	e.Put("/dubbo/shop/"+revision, fmt.Sprintf(`{"app":"shop","revision":%q,"lastUpdatedTime":%d}`, revision, published))
}

func putInstance(e *etcdfake.Etcd, host, revision string) {
	e.Put("/services/shop/"+host+":1", fmt.Sprintf(`{"host":%q,"port":1,"metadata":{"dubbo.metadata.revision":%q}}`, host, revision))
}

const week = 7 * 24 * time.Hour

// requireRemoved removes r1 and expects it to be gone, or to be there.
func requireRemoved(t *testing.T, e *etcdfake.Etcd, r *Report, want bool) {
	t.Helper()
	require.NoError(t, r.UnPublishAppMetadata("shop", "r1"))
	if want {
		assert.NotContains(t, e.Keys("/dubbo/"), "/dubbo/shop/r1")
	} else {
		assert.Contains(t, e.Keys("/dubbo/"), "/dubbo/shop/r1")
	}
}

func TestMetadataStaysThatSomebodyMayNeed(t *testing.T) {
	for name, c := range map[string]struct {
		put     func(*etcdfake.Etcd)
		removed bool
	}{
		"no instance at all":           {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week) }, true},
		"instances of other revisions": {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week); putInstance(e, "10.0.0.1", "r2") }, true},
		"an instance has it":           {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week); putInstance(e, "10.0.0.1", "r1") }, false},
		"an instance cannot be read":   {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week); e.Put("/services/shop/10.0.0.1:1", "{") }, false},
		"its metadata is something else": {func(e *etcdfake.Etcd) {
			putMetadata(e, "r1", week)
			e.Put("/services/shop/10.0.0.1:1", `{"metadata":7}`)
		}, false},
		"what is no instance":     {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week); e.Put("/services/shop/x", "{") }, true},
		"of another application":  {func(e *etcdfake.Etcd) { putMetadata(e, "r1", week); e.Put("/services/shops/10.0.0.1:1", "{") }, true},
		"it was published lately": {func(e *etcdfake.Etcd) { putMetadata(e, "r1", settled-time.Minute) }, false},
		"in the future":           {func(e *etcdfake.Etcd) { putMetadata(e, "r1", -week) }, false},
		"it does not say when":    {func(e *etcdfake.Etcd) { putMetadata(e, "r1", 0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
				c.put(e)
				requireRemoved(t, e, r, c.removed)
			})
		})
	}
}

func TestMetadataStaysIfSomebodyComesBetweenTheLookAndTheRemoval(t *testing.T) {
	for name, c := range map[string]struct {
		come    func(*etcdfake.Etcd)
		removed bool
	}{
		"an instance of it":         {func(e *etcdfake.Etcd) { putInstance(e, "10.0.0.2", "r1") }, false},
		"one of another revision":   {func(e *etcdfake.Etcd) { putInstance(e, "10.0.0.2", "r2") }, true}, // it is looked again
		"its metadata, before that": {func(e *etcdfake.Etcd) { putMetadata(e, "r1", 0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
				putMetadata(e, "r1", week)
				putInstance(e, "10.0.0.1", "r2")
				came := false
				e.Set(func(e *etcdfake.Etcd) {
					e.Fail = func(method string, _ []string) error {
						if method == "Txn" && !came {
							came = true
							c.come(e)
						}
						return nil
					}
				})
				requireRemoved(t, e, r, c.removed)
				assert.True(t, came)
			})
		})
	}
}

func TestTheInstancesAreLookedAtOnceForAllThatIsRemoved(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		putInstance(e, "10.0.0.1", "r0")
		for i := range 50 {
			putMetadata(e, fmt.Sprint("r", i), week)
		}
		e.Requests("Range")
		for i := range 50 {
			require.NoError(t, r.UnPublishAppMetadata("shop", fmt.Sprint("r", i)))
		}
		assert.Len(t, e.Keys("/dubbo/"), 1)
		assert.Contains(t, e.Keys("/dubbo/"), "/dubbo/shop/r0")
		assert.Equal(t, 51, e.Requests("Range"))

		// The instance goes, and is looked for again, a night later.
		e.Delete("/services/shop/10.0.0.1:1")
		time.Sleep(looked)
		require.NoError(t, r.UnPublishAppMetadata("shop", "r0"))
		assert.Empty(t, e.Keys("/dubbo/"))
	})
}

func TestWhatIsRemovedIsNotPutBack(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		old := metadataOf("shop")
		old.LastUpdatedTime = 1
		require.NoError(t, r.PublishAppMetadata("shop", "r1", old))
		requireRemoved(t, e, r, true)
		requireRemoved(t, e, r, true) // again
		e.Away(true)
		time.Sleep(time.Second)
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Empty(t, e.Keys("/dubbo/"))
	})
}

func TestMetadataThatMayNotBeRemovedStaysWithoutAnError(t *testing.T) {
	for _, denied := range []string{"Range", "Txn"} {
		withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
			putMetadata(e, "r1", week)
			e.Set(func(e *etcdfake.Etcd) {
				e.Fail = func(method string, _ []string) error {
					if method == denied {
						return rpctypes.ErrGRPCPermissionDenied
					}
					return nil
				}
			})
			requireRemoved(t, e, r, false)
		})
	}
}

func TestARemovalWithoutEtcdIsAnError(t *testing.T) {
	withReport(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Report) {
		putMetadata(e, "r1", week)
		e.Away(true)
		require.ErrorContains(t, r.UnPublishAppMetadata("shop", "r1"), "remove /dubbo/shop/r1 from etcd at [etcd:2379]")
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Contains(t, e.Keys("/dubbo/"), "/dubbo/shop/r1", "it is not removed later, when it may be in use")
	})
}
