// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// serving has instances of the revision r serve the Greeter.
func serving(cfg *config) {
	cfg.metadata = func(_, revision string, _ registry.ServiceInstance) (*info.MetadataInfo, error) {
		if revision != "r" {
			return nil, errors.New("it is of another revision")
		}
		return info.NewMetadataInfoWithParams("shop", revision, map[string]*info.ServiceInfo{
			"": info.NewServiceInfo("org.a.Greeter", "", "", "tri", "org.a.Greeter", nil),
		}), nil
	}
}

// serve registers instances that serve the Greeter.
func serve(e *etcdfake.Etcd, hosts ...string) {
	for _, host := range hosts {
		e.Put(key+host+":20000", valueServing(host))
	}
}

// valueServing is the value of an instance that serves the Greeter.
func valueServing(host string) string {
	i := at(host)
	i.Metadata = map[string]string{constant.ExportedServicesRevisionPropertyName: "r"}
	k, err := keyOf("/services", i)
	if err != nil {
		panic(err)
	}
	return k.Value
}

// reader is a reader of a feed, and what it knows by it.
type reader struct {
	*Feed
	changed chan struct{}
	known   map[string]*Provider
}

func read(t *testing.T, d *Discovery) *reader {
	t.Helper()
	r := &reader{changed: make(chan struct{}, 1), known: map[string]*Provider{}}
	var err error
	r.Feed, err = d.Open("shop", r.changed)
	require.NoError(t, err)
	return r
}

// hosts returns who serves the Greeter.
func (r *reader) hosts() []string {
	synctest.Wait()
	for _, c := range r.Take() {
		r.known[c.Key] = c.Provider
	}
	hosts := []string{}
	for _, p := range r.known {
		if p != nil {
			for _, u := range p.URLs(greeter, p.Created(), r.IsInstance) {
				hosts = append(hosts, u.Ip)
			}
		}
	}
	slices.Sort(hosts)
	return hosts
}

func TestReadersOfAnApplicationShareWhatIsKnownOfIt(t *testing.T) {
	with(t, serving, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		serve(e, "10.0.0.1")
		first, second := read(t, d), read(t, d)
		assert.Equal(t, []string{"10.0.0.1"}, first.hosts())
		assert.Equal(t, []string{"10.0.0.1"}, second.hosts())
		third := read(t, d)
		assert.Equal(t, []string{"10.0.0.1"}, third.hosts(), "who comes later knows at once")
		assert.True(t, third.Settled())
		<-third.changed
		assert.Equal(t, 1, e.Watches())
		serve(e, "10.0.0.2")
		e.Delete(key + "10.0.0.1:20000")
		for _, r := range []*reader{first, second, third} {
			assert.Equal(t, []string{"10.0.0.2"}, r.hosts())
			assert.False(t, r.IsInstance("10.0.0.1:20000"))
			assert.True(t, r.IsInstance("10.0.0.2:20000"))
		}
		first.Close()
		first.Close()
		second.Close()
		serve(e, "10.0.0.3")
		assert.Equal(t, []string{"10.0.0.2", "10.0.0.3"}, third.hosts())
		assert.Equal(t, []string{"10.0.0.2"}, first.hosts())
		third.Close()
		synctest.Wait()
		assert.Zero(t, e.Watches())
		assert.Len(t, read(t, d).hosts(), 2, "it begins anew")
		assert.Equal(t, 1, e.Watches())
	})
}

// A consumer that was told by a provider that it closes leaves out the same one
// for a while. Its value may be what it was: Java's has no time in it.
func TestAnInstanceThatComesBackIsAnotherToReaders(t *testing.T) {
	with(t, serving, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		serve(e, "10.0.0.1")
		r := read(t, d)
		r.hosts()
		before := r.known[key+"10.0.0.1:20000"].Created()
		e.Delete(key + "10.0.0.1:20000")
		serve(e, "10.0.0.1")
		assert.Equal(t, []string{"10.0.0.1"}, r.hosts())
		restarted := r.known[key+"10.0.0.1:20000"].Created()
		assert.Greater(t, restarted, before)
		serve(e, "10.0.0.1")
		r.hosts()
		assert.Equal(t, restarted, r.known[key+"10.0.0.1:20000"].Created(), "its key was put again, by itself")
	})
}

// Where little else is written, one of two that are started anew with an etcd that keeps
// nothing, at another address, has the revision of before, and so has the other one.
func TestWhoHasMovedWhileEtcdWasEmptiedIsCalled(t *testing.T) {
	with(t, serving, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		r := read(t, d)
		r.hosts()
		for lease, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2"} {
			if lease == 2 {
				assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, r.hosts())
				e.Wipe()
			}
			e.PutUnder(key+host+":20000", valueServing(host), int64(1+lease))
		}
		c, err := d.user.Get()
		require.NoError(t, err)
		c.Watches.Check()
		time.Sleep(session + 5*time.Second)
		assert.Equal(t, []string{"10.0.0.2", "10.0.0.3"}, r.hosts())
	})
}

func TestAnApplicationIsSettledWhenEtcdHasBeenReadOrIsKnownToBeAway(t *testing.T) {
	with(t, serving, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		e.Away(true)
		r := read(t, d)
		assert.False(t, r.Settled(), "unknown is not empty")
		time.Sleep(d.Timeout())
		synctest.Wait()
		assert.True(t, r.Settled())
		assert.Len(t, log.Lines("WARN [etcdv3] there are no instances of shop yet: etcd at"), 1)
		serve(e, "10.0.0.1")
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"10.0.0.1"}, r.hosts())
	})
}

func TestAReaderWithoutEtcdHasWhatTheCacheFileHas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "discovery.cache")
	cached := func(cfg *config) {
		serving(cfg)
		cfg.CachePath, cfg.SaveAtOnce = func(string) string { return file }, true
	}
	with(t, cached, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		serve(e, "10.0.0.1", "10.0.0.2")
		assert.Len(t, read(t, d).hosts(), 2)
		require.NoError(t, d.Destroy())
		e.Away(true)
		e.Delete(key + "10.0.0.1:20000")
		again := discovering(t, e, cached)
		r := read(t, again)
		time.Sleep(again.Timeout())
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, r.hosts())
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"10.0.0.2"}, r.hosts())
		serve(e, "10.0.0.3")
		assert.Len(t, r.hosts(), 2)
		require.NoError(t, again.Destroy())

		e.Away(true)
		last := discovering(t, e, cached)
		r = read(t, last)
		time.Sleep(last.Timeout())
		assert.Equal(t, []string{"10.0.0.2", "10.0.0.3"}, r.hosts(), "what was saved last")
	})
}

// It falls back on the file at the moment at which that is closed.
func TestADiscoveryMayBeDestroyedAsItFallsBackOnTheCacheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "discovery.cache")
	cached := func(cfg *config) { cfg.CachePath, cfg.SaveAtOnce = func(string) string { return file }, true }
	with(t, cached, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		serve(e, "10.0.0.1")
		assert.Len(t, d.GetInstances("shop"), 1)
		require.NoError(t, d.Destroy())
		logtest.Record(t)
		e.Away(true)
		for range 100 {
			again := discovering(t, e, cached)
			r := read(t, again)
			time.Sleep(again.Timeout())
			require.NoError(t, again.Destroy())
			r.Close()
		}
	})
}

func TestWhatEtcdRefusesToAReaderIsToldAndMendedLater(t *testing.T) {
	with(t, serving, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		serve(e, "10.0.0.1")
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(string, []string) error { return rpctypes.ErrGRPCPermissionDenied }
		})
		r := read(t, d)
		synctest.Wait()
		assert.True(t, r.Settled(), "nobody waits for it")
		assert.Len(t, log.Lines("ERROR [etcdv3] cannot ask etcd at ["+t.Name()+"] for the instances of shop: "), 1)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"10.0.0.1"}, r.hosts())
	})
}

func TestADestroyedDiscoveryAsksNobodyForMetadata(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	edit := func(cfg *config) {
		cfg.metadata = func(string, string, registry.ServiceInstance) (*info.MetadataInfo, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return nil, nil
		}
	}
	with(t, edit, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		serve(e, "10.0.0.1")
		r := read(t, d)
		assert.Empty(t, r.hosts())
		assert.Len(t, log.Lines("WARN [etcdv3] none of 1 instance(s) of shop says what its revision r serves: "), 1)
		time.Sleep(time.Minute)
		assert.Empty(t, log.Lines("none of"), "that was told")
		require.NoError(t, d.Destroy())
		mu.Lock()
		before := asked
		mu.Unlock()
		assert.Greater(t, before, 1, "no metadata is no answer")
		time.Sleep(time.Hour)
		assert.Equal(t, before, asked)
		r.Close()
	})
}
