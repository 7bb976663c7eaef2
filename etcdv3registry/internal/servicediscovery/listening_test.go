// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// follower is a listener that notes which hosts it is told of.
type follower struct {
	registry.ServiceInstancesChangedListener // the rest of it is not called

	names *gxset.HashSet
	then  func() error // nil: nothing

	mu   sync.Mutex // guards what follows
	told [][]string
	of   []string // the application, of each
	last []registry.ServiceInstance
}

func newFollower(applications ...any) *follower {
	return &follower{names: gxset.NewSet(applications...)}
}

func (f *follower) GetServiceNames() *gxset.HashSet { return f.names }

func (f *follower) OnEvent(e observer.Event) error {
	f.mu.Lock()
	event := e.(*registry.ServiceInstancesChangedEvent)
	f.last = event.Instances
	f.told, f.of = append(f.told, hostsOf(f.last)), append(f.of, event.ServiceName)
	f.mu.Unlock()
	if f.then != nil {
		return f.then()
	}
	return nil
}

// take returns what it was told since it was asked last.
func (f *follower) take() [][]string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.told
	f.told, f.of = nil, nil
	return told
}

// since is take, each as "application: hosts".
func (f *follower) since() (told []string) {
	synctest.Wait()
	f.mu.Lock()
	of := f.of
	f.mu.Unlock()
	for i, hosts := range f.take() {
		told = append(told, of[i]+": "+strings.Join(hosts, " "))
	}
	return told
}

func TestAListenerIsToldOfEveryChangeUntilItIsRemoved(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		f := newFollower("shop")
		require.NoError(t, d.AddListener(f))
		assert.Equal(t, [][]string{{"10.0.0.1"}}, f.take(), "nobody has asked for them")
		first := f.last[0]
		put(e, "10.0.0.2")
		assert.Equal(t, [][]string{{"10.0.0.1", "10.0.0.2"}}, f.take())
		assert.Same(t, first, f.last[0], "it has not changed")
		require.NoError(t, d.AddListener(f), "again")
		assert.Empty(t, f.take())
		e.Delete(key + "10.0.0.1:20000")
		assert.Equal(t, [][]string{{"10.0.0.2"}}, f.take())
		d.RemoveListener(f)
		d.RemoveListener(f)
		put(e, "10.0.0.3")
		assert.Empty(t, f.take())
		assert.Zero(t, e.Watches())
	})
}

func TestAListenerIsToldOfWhatHasChangedSinceItAsked(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		d.GetInstances("shop")
		same := newFollower("shop")
		require.NoError(t, d.AddListener(same))
		assert.Empty(t, same.take(), "it has them")
		d.RemoveListener(same)

		d.GetInstances("shop")
		put(e, "10.0.0.2")
		changed := newFollower("shop")
		require.NoError(t, d.AddListener(changed))
		told := changed.take() // perhaps of what it has first: etcd told of the change while that was looked at
		require.NotEmpty(t, told)
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, told[len(told)-1])

		d.GetInstances("inn")
		none := newFollower("inn")
		require.NoError(t, d.AddListener(none))
		assert.Empty(t, none.take())
		e.Put("/services/inn/10.0.0.9:20000", `{"host":"10.0.0.9","port":20000}`)
		assert.Equal(t, [][]string{{"10.0.0.9"}}, none.take())
	})
}

func TestAListenerMayNameMoreApplicationsLater(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		e.Put("/services/inn/10.0.0.9:20000", `{"host":"10.0.0.9","port":20000}`)
		f := newFollower("shop")
		require.NoError(t, d.AddListener(f))
		assert.Len(t, f.take(), 1)
		f.names.Add("inn")
		require.NoError(t, d.AddListener(f))
		assert.Equal(t, [][]string{{"10.0.0.9"}}, f.take())
		assert.Equal(t, 2, e.Watches())
	})
}

func TestListenersShareAWatch(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		other := discovering(t, e, nil)
		var all []*follower
		for _, of := range []*Discovery{d, d, other} {
			f := newFollower("shop")
			require.NoError(t, of.AddListener(f))
			all = append(all, f)
		}
		put(e, "10.0.0.2")
		for _, f := range all {
			assert.NotEmpty(t, f.take())
			f.last[0].GetMetadata()["zone"] = "changed"
		}
		assert.Equal(t, 1, e.Watches())
		put(e, "10.0.0.3")
		for i, f := range all {
			f.take()
			require.NotEmpty(t, f.last)
			assert.Equal(t, "east", f.last[2].GetMetadata()["zone"], "%d: what one changes is its own", i)
		}
	})
}

func TestAListenerThatFailsOrPanicsIsToldTheNextChange(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		f := newFollower("shop")
		f.then = func() error { return errors.New("no such metadata") }
		put(e, "10.0.0.1")
		require.NoError(t, d.AddListener(f))
		assert.Len(t, f.take(), 1)
		assert.Len(t, log.Lines("WARN [etcdv3] a listener of the instances of shop: no such metadata"), 1)
		f.then = func() error { panic("a fault") }
		put(e, "10.0.0.2")
		assert.Len(t, f.take(), 1)
		assert.Len(t, log.Lines("a listener of the instances of shop panicked over a change"), 1)
		f.then = nil
		put(e, "10.0.0.3")
		assert.Equal(t, [][]string{{"10.0.0.1", "10.0.0.2", "10.0.0.3"}}, f.take())
	})
}

func TestAListenerMayEndItselfOrAllFromInsideAnEvent(t *testing.T) {
	for name, end := range map[string]func(*Discovery, *follower) error{
		"removed":   func(d *Discovery, f *follower) error { d.RemoveListener(f); return nil },
		"destroyed": func(d *Discovery, _ *follower) error { return d.Destroy() },
	} {
		t.Run(name, func(t *testing.T) {
			with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
				f := newFollower("shop")
				f.then = func() error { return end(d, f) }
				require.NoError(t, d.AddListener(f))
				put(e, "10.0.0.1")
				assert.NotEmpty(t, f.take())
				put(e, "10.0.0.2")
				assert.Empty(t, f.take())
				assert.Zero(t, e.Watches())
			})
		})
	}
}

// Whoever removes it relies on that, whatever else ends it at the same time.
func TestRemovingAListenerThatIsBeingEndedWaitsForIt(t *testing.T) {
	for name, end := range map[string]func(*Discovery, *follower){
		"removed":   func(d *Discovery, f *follower) { d.RemoveListener(f) },
		"destroyed": func(d *Discovery, _ *follower) { _ = d.Destroy() },
	} {
		t.Run(name, func(t *testing.T) {
			with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
				f, goOn := newFollower("shop"), make(chan struct{})
				var over atomic.Bool
				f.then = func() error {
					<-goOn
					over.Store(true)
					return nil
				}
				require.NoError(t, d.AddListener(f))
				synctest.Wait()
				var ending sync.WaitGroup
				ending.Go(func() { end(d, f) })
				for d.isListening(f) { // until the other one has begun
					runtime.Gosched()
				}
				ending.Go(func() {
					d.RemoveListener(f)
					assert.True(t, over.Load(), "what it was told has been taken in")
				})
				for range 100 {
					runtime.Gosched()
				}
				close(goOn)
				ending.Wait()
				assert.Empty(t, d.listening)
			})
		})
	}
}

// isListening reports whether nobody has begun to end a listener.
func (d *Discovery) isListening(f *follower) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.listening[f]
	return known != nil && !known.ended
}

func TestAListenerKeepsTheLastInstancesWhereThatIsWanted(t *testing.T) {
	with(t, func(cfg *config) { cfg.KeepLast = true }, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		put(e, "10.0.0.1", "10.0.0.2")
		f := newFollower("shop")
		require.NoError(t, d.AddListener(f))
		assert.Len(t, f.take(), 1)
		e.Delete(key+"10.0.0.1:20000", key+"10.0.0.2:20000")
		assert.Empty(t, f.take())
		assert.Len(t, log.Lines("WARN [etcdv3] all instances of shop are gone from etcd: the last 2 are kept"), 1)
		put(e, "10.0.0.3")
		assert.Equal(t, [][]string{{"10.0.0.3"}}, f.take())
	})
}

// A process that starts without etcd has what is kept.
func TestWhatIsKeptStaysInTheCacheFileWhoeverAsks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "discovery.cache")
	kept := func(cfg *config) {
		cfg.KeepLast, cfg.CachePath, cfg.SaveAtOnce = true, func(string) string { return file }, true
	}
	with(t, kept, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		f := newFollower("shop")
		require.NoError(t, d.AddListener(f))
		assert.Len(t, f.take(), 1)
		e.Delete(key + "10.0.0.1:20000")
		assert.Empty(t, f.take())
		assert.Empty(t, d.GetInstances("shop"), "that is what etcd has")
		require.NoError(t, d.Destroy())
		e.Away(true)
		assert.Equal(t, []string{"10.0.0.1"}, hostsOf(discovering(t, e, kept).GetInstances("shop")))
	})
}

// The framework applies overrides to what it is told next.
func TestListenersAreToldAgainWhenOverridesChange(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		put(e, "10.0.0.1")
		f, told := newFollower("shop"), 0
		require.NoError(t, d.AddListener(f))
		undo, err := d.OnOverrides(func() { told++ })
		require.NoError(t, err)
		assert.Len(t, f.take(), 1)
		cluster.OverridesChanged(nil)
		assert.Equal(t, [][]string{{"10.0.0.1"}}, f.take())
		assert.Equal(t, 1, told)
		undo()
		d.RemoveListener(f)
		cluster.OverridesChanged(nil)
		assert.Empty(t, f.take())
		assert.Equal(t, 1, told)

		d.GetInstances("shop") // with the overrides of now
		cluster.OverridesChanged(nil)
		later := newFollower("shop")
		require.NoError(t, d.AddListener(later))
		assert.Equal(t, [][]string{{"10.0.0.1"}}, later.take(), "it asked before")
	})
}

// unequal cannot be compared.
type unequal struct {
	*follower
	_ []string
}

func TestRemovingAListenerThatWasNotAddedDoesNothing(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		f := newFollower("shop")
		require.NoError(t, d.AddListener(f))
		for _, other := range []registry.ServiceInstancesChangedListener{nil, newFollower("shop"), unequal{follower: f}} {
			d.RemoveListener(other)
		}
		f.take()
		put(e, "10.0.0.1")
		assert.Equal(t, [][]string{{"10.0.0.1"}}, f.take())
	})
}

func TestAListenerThatCannotBeToldIsAnErrorThatSaysWhy(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		require.ErrorContains(t, d.AddListener(nil), "there is no listener")
		require.ErrorContains(t, d.AddListener(newFollower()), "names no application")
		require.ErrorContains(t, d.AddListener(&follower{}), "names no application")
		require.ErrorContains(t, d.AddListener(unequal{follower: newFollower("shop")}), "cannot be compared and so not be removed: use a pointer")
		synctest.Wait()
		assert.Zero(t, e.Watches())
	})
}
