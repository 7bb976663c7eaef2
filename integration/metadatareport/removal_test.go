// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// putOld puts metadata as a process left it that ended a week ago.
func putOld(t testing.TB, client *clientv3.Client, application, revision string) (key string) {
	t.Helper()
	encoded, err := json.Marshal(metadataOf(application, revision, time.Now().Add(-7*24*time.Hour).UnixMilli()))
	require.NoError(t, err)
	key = "/dubbo/" + application + "/" + revision
	testkit.Put(t, client, key, string(encoded))
	return key
}

// rolledBack is a process that starts with a revision: it publishes its metadata, and
// then registers its instance, as the framework has it do.
func rolledBack(t testing.TB, r report.MetadataReport, d registry.ServiceDiscovery, application, revision string) {
	t.Helper()
	assert.NoError(t, r.PublishAppMetadata(application, revision, metadataOf(application, revision, 0)))
	assert.NoError(t, d.Register(&registry.DefaultServiceInstance{
		ServiceName: application, Host: "10.0.0.1", Port: 20000, Enable: true, Healthy: true,
		Metadata: map[string]string{"dubbo.metadata.revision": revision, "dubbo.metadata.storage-type": "remote"},
	}))
}

// A process is rolled back to a revision while another one removes it: whatever comes
// first, the instance has its metadata.
func TestARevisionThatIsTakenUpAgainHasItsMetadata(t *testing.T) {
	t.Parallel()
	const rounds = 30
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint()) // a connection of its own, as another process has
	removing := newReport(t, etcd.Endpoint(), noCache()...)
	starting := newReport(t, proxy.Addr(), noCache()...)
	discovery := testkit.NewDiscovery(t, proxy.Addr(), noCache()...)
	removed := 0
	for i := range 3 * rounds {
		application := fmt.Sprint("shop", i)
		key := putOld(t, etcd.Client(), application, "r1")
		testkit.Put(t, etcd.Client(), "/services/"+application+"/10.0.0.2:20000", `{"host":"10.0.0.2","port":20000,"metadata":{"dubbo.metadata.revision":"r2"}}`)
		remove := func() { assert.NoError(t, removing.UnPublishAppMetadata(application, "r1")) }
		begin := func() { rolledBack(t, starting, discovery, application, "r1") }
		switch i % 3 {
		case 0:
			remove()
			if _, there := testkit.Value(t, etcd.Client(), key); !there {
				removed++
			}
			begin()
		case 1:
			begin()
			remove()
		default:
			var both sync.WaitGroup
			both.Go(remove)
			both.Go(begin)
			both.Wait()
		}
		_, there := testkit.Value(t, etcd.Client(), key)
		require.True(t, there, "round %d: %s is gone, and an instance has it", i, key)
	}
	require.Equal(t, rounds, removed, "what nobody had was removed")
}

func TestAnInstanceThatCannotBeReadKeepsAllMetadata(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	key := putOld(t, etcd.Client(), "shop", "r1")
	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.1:20000", "written by who knows whom")
	require.NoError(t, r.UnPublishAppMetadata("shop", "r1"))
	_, there := testkit.Value(t, etcd.Client(), key)
	require.True(t, there)
}

func TestWithoutTheRightToRemoveMetadataStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rights []string // to read and write
		gone   bool
	}{
		"neither":   {[]string{"/other/"}, false},
		"metadata":  {[]string{"/dubbo/shop/"}, false}, // whether an instance has it cannot be seen
		"instances": {[]string{"/services/shop/"}, false},
		"both":      {[]string{"/dubbo/shop/", "/services/shop/"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			key := putOld(t, etcd.Client(), "shop", "r1")
			testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.2:20000", `{"host":"10.0.0.2","port":20000}`)
			root := testkit.EnableAuth(t, etcd, "shop", c.rights[0])
			for _, prefix := range c.rights[1:] {
				testkit.GrantPrefix(t, root, "shop", prefix)
			}
			r := newReport(t, etcd.Endpoint(), testkit.As("shop", testkit.Password)...)
			require.NoError(t, r.UnPublishAppMetadata("shop", "r1"))
			_, there := testkit.Value(t, root, key)
			require.Equal(t, c.gone, !there)
		})
	}
}
