// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxpage "github.com/dubbogo/gost/hash/page"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// The framework has applied the overrides of before to what GetInstances
// returned, and listens only a moment later.
func TestWhoHasAskedIsToldAgainAfterAnOverride(t *testing.T) {
	d := New(extension.Config{}, nil)
	a := &snapshot{served: 7}
	d.snapshots["greeter"] = a
	assert.True(t, d.isCurrent(a, 7))
	d.tellAgain()
	assert.False(t, d.isCurrent(a, 7))
}

const key = "/services/shop/"

// value of an instance, as another process writes it.
func valueOf(host string) string {
	k, err := keyOf("/services", at(host))
	if err != nil {
		panic(err)
	}
	return k.Value
}

// put registers instances, as other processes do.
func put(e *etcdfake.Etcd, hosts ...string) {
	for _, host := range hosts {
		e.Put(key+host+":20000", valueOf(host))
	}
}

func hostsOf(instances []registry.ServiceInstance) []string {
	hosts := []string{}
	for _, i := range instances {
		hosts = append(hosts, i.GetHost())
	}
	return hosts
}

func TestInstancesAreTheCallersOwnInTheOrderOfTheirKeys(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.2", "10.0.0.1")
		e.Put("/services/shopping/10.0.0.9:20000", valueOf("10.0.0.9"))
		found := d.GetInstances("shop")
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, hostsOf(found))
		found[0].GetMetadata()["zone"] = "changed"
		again := d.GetInstances("shop")
		assert.Equal(t, "east", again[0].GetMetadata()["zone"])
		assert.NotNil(t, d.GetInstances("none"))
		assert.Empty(t, d.GetInstances("none"))
	})
}

func TestAKeyThatIsNoInstanceIsLeftOutAndToldOfOnce(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		put(e, "10.0.0.1")
		e.Put(key+"10.0.0.2:20000", "{")
		e.Put(key+"10.0.0.3:20000", `{"port":1}`)
		e.Put(key+"10.0.0.4:20000", `{"host":"10.0.0.4","port":65536}`)
		e.Put(key+"lock", "somebody else's")
		e.Put(key+"10.0.0.5:20000/x", "somebody else's")
		e.Put(key+"10.0.0.6:20000", valueOf("10.0.0.1"))
		e.Put(key+"10.0.0.7:20000", `{"host":"10.0.0.7","port":20000,"serviceName":"bank"}`)
		e.Put(key+"0.0.0.0:20000", `{"host":"0.0.0.0","port":20000}`)
		for range 3 {
			assert.Equal(t, []string{"10.0.0.1"}, hostsOf(d.GetInstances("shop")))
		}
		time.Sleep(time.Minute)
		lines := log.Lines("skip")
		require.Len(t, lines, 2)
		assert.Contains(t, lines[0], "WARN [etcdv3] skipping key /services/shop/")
		assert.Contains(t, lines[1], "skipped 5 more under /services/shop/ since the last such line, the last was key /services/shop/")
		put(e, "10.0.0.2")
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, hostsOf(d.GetInstances("shop")), "it has been mended")
	})
}

// A watch tells a moment later. Whoever asks then would go on with what is out of
// date until something else changes.
func TestInstancesAreThoseOfNow(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		d.GetInstances("shop")
		e.Requests("Range")
		d.GetInstances("shop")
		assert.Equal(t, 1, e.Requests("Range"), "whether something has changed")
		e.PutSilently(key+"10.0.0.2:20000", valueOf("10.0.0.2"))
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, hostsOf(d.GetInstances("shop")))
		e.Progress()

		log := logtest.Record(t)
		e.Away(true)
		assert.NotEmpty(t, d.GetInstances("shop"), "what is known")
		assert.Len(t, log.Lines("WARN [etcdv3] instances of shop may have changed since etcd at"), 1)
	})
}

func TestAnApplicationThatWasAskedForIsWatchedUntilSomebodyCouldListen(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		d.GetInstances("shop")
		synctest.Wait()
		assert.Equal(t, 1, e.Watches())
		time.Sleep(d.Timeout() + askedFor - time.Second)
		d.GetInstances("shop")
		time.Sleep(d.Timeout() + askedFor - time.Second)
		assert.Equal(t, 1, e.Watches())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Zero(t, e.Watches())
		put(e, "10.0.0.2")
		assert.Len(t, d.GetInstances("shop"), 2)
		require.NoError(t, d.Destroy())
		synctest.Wait()
		assert.Zero(t, e.Watches())
		assert.Empty(t, d.GetInstances("shop"))
	})
}

func TestInstancesWithoutEtcdAreThoseOfTheCacheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "discovery.cache")
	cached := func(cfg *config) { cfg.CachePath, cfg.SaveAtOnce = func(string) string { return file }, true }
	with(t, cached, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1", "10.0.0.2")
		d.GetInstances("shop")
		require.NoError(t, d.Destroy())

		log := logtest.Record(t)
		e.Away(true)
		again := discovering(t, e, cached)
		begun := time.Now()
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, hostsOf(again.GetInstances("shop")))
		assert.Len(t, log.Lines("WARN [etcdv3] ETCD DOES NOT ANSWER, RUNNING ON CACHED ADDRESSES: "), 1)
		assert.Len(t, again.GetInstances("shop"), 2)
		assert.Empty(t, log.Lines("RUNNING ON CACHED ADDRESSES"), "that was told")
		assert.Empty(t, again.GetInstances("unknown"))
		assert.Len(t, log.Lines("WARN [etcdv3] there are no instances of unknown yet: etcd at"), 1)
		assert.LessOrEqual(t, time.Since(begun), 4*again.Timeout())

		f := newFollower("shop")
		require.NoError(t, again.AddListener(f))
		time.Sleep(time.Minute)
		assert.Empty(t, f.take(), "it has what there was")
		e.Delete(key + "10.0.0.1:20000")
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Equal(t, [][]string{{"10.0.0.2"}}, f.take())
		assert.Len(t, log.Lines("INFO [etcdv3] etcd at ["+t.Name()+"] answers: the cached instances are brought up to date"), 1)
		require.NoError(t, again.Destroy())

		e.Away(true)
		assert.Equal(t, []string{"10.0.0.2"}, hostsOf(discovering(t, e, cached).GetInstances("shop")), "the listener's, saved")
	})
}

func TestWhereThereWereNoInstancesNothingRunsOnCachedOnes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "discovery.cache")
	cached := func(cfg *config) { cfg.CachePath, cfg.SaveAtOnce = func(string) string { return file }, true }
	with(t, cached, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		assert.Empty(t, d.GetInstances("shop"))
		require.NoError(t, d.Destroy())
		log := logtest.Record(t)
		e.Away(true)
		again := discovering(t, e, cached)
		assert.Empty(t, again.GetInstances("shop"))
		lines := log.Lines("instances")
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "WARN [etcdv3] there are no instances of shop yet: etcd at")
	})
}

func TestWhatEtcdRefusesIsNoCaseForTheCacheFile(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(string, []string) error { return rpctypes.ErrGRPCPermissionDenied }
		})
		begun := time.Now()
		assert.NotNil(t, d.GetInstances("shop"))
		assert.Less(t, time.Since(begun), time.Second)
		assert.Len(t, log.Lines("ERROR [etcdv3] cannot ask etcd at ["+t.Name()+"] for the instances of shop: "), 1)
	})
}

func TestTheApplicationsAreThoseThatHaveAnInstance(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		put(e, "10.0.0.1", "10.0.0.2")
		e.Put("/services/inn/10.0.0.3:20000", "{}")
		e.Put("/services/odd/x/10.0.0.3:20000", "{}")
		assert.ElementsMatch(t, []any{"shop", "inn"}, d.GetServices().Values())
		mine := at("10.0.0.9")
		mine.ServiceName = "mine"
		require.NoError(t, d.Register(mine))
		assert.Equal(t, 3, d.GetServices().Size())
		e.Away(true)
		assert.Equal(t, []any{"mine"}, d.GetServices().Values(), "without etcd it knows of its own")
		assert.Len(t, log.Lines("WARN [etcdv3] cannot list the applications in etcd at"), 1)
		e.Away(false)
		require.NoError(t, d.Destroy())
		assert.True(t, d.GetServices().Empty())
	})
}

func TestInstancesInPages(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		ill := at("10.0.0.4")
		ill.Healthy = false
		k, err := keyOf("/services", ill)
		require.NoError(t, err)
		e.Put(k.Name, k.Value)
		hosts := func(p gxpage.Pager) (all []string) {
			for _, i := range p.GetData() {
				all = append(all, i.(registry.ServiceInstance).GetHost())
			}
			return all
		}
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, hosts(d.GetInstancesByPage("shop", 0, 2)))
		assert.Equal(t, []string{"10.0.0.3", "10.0.0.4"}, hosts(d.GetInstancesByPage("shop", 2, 5)))
		assert.Empty(t, hosts(d.GetInstancesByPage("shop", 9, 2)))
		assert.Len(t, hosts(d.GetInstancesByPage("shop", -1, 0)), 4, "from the first one on, as many as by default")
		assert.Equal(t, []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"}, hosts(d.GetInstancesByPage("shop", 1, math.MaxInt)), "all that follow")
		p := d.GetInstancesByPage("shop", 0, 3)
		assert.Equal(t, 2, p.GetTotalPages())
		assert.True(t, p.HasNext())
		assert.Equal(t, []string{"10.0.0.4"}, hosts(d.GetHealthyInstancesByPage("shop", 0, 9, false)))
		assert.Equal(t, []string{"10.0.0.2"}, hosts(d.GetHealthyInstancesByPage("shop", 1, 1, true)))
		pages := d.GetRequestInstances([]string{"shop", "none"}, 3, d.GetDefaultPageSize())
		assert.Equal(t, []string{"10.0.0.4"}, hosts(pages["shop"]))
		assert.Empty(t, hosts(pages["none"]))
	})
}

func TestADiscoveryThatIsDestroyedSaysSo(t *testing.T) {
	with(t, nil, func(t *testing.T, _ *etcdfake.Etcd, d *Discovery) {
		require.NoError(t, d.Destroy())
		require.ErrorIs(t, d.AddListener(newFollower("shop")), extension.ErrClosed)
		_, err := d.Open("shop", make(chan struct{}, 1))
		require.ErrorIs(t, err, extension.ErrClosed)
		_, err = d.OnOverrides(func() {})
		require.ErrorIs(t, err, extension.ErrClosed)
		log := logtest.Record(t)
		assert.Empty(t, d.GetInstances("shop"))
		assert.Len(t, log.Lines("it has been closed"), 1)
		synctest.Wait()
	})
}
