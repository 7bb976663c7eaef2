// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const session = 10 * time.Second

// configured is a registry of an etcd; edit changes its configuration.
func configured(t *testing.T, e *etcdfake.Etcd, edit func(*extension.Config)) *Registry {
	cfg := extension.Config{
		URL: urltest.URL("etcdv3", "etcd", "2379", ""),
		Cluster: cluster.Config{
			Endpoints: []string{t.Name()}, Session: session, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t),
		},
		Root:      "/dubbo",
		Timeout:   2 * time.Second,
		CachePath: func(string) string { return "" },
	}
	if edit != nil {
		edit(&cfg)
	}
	r := New(cfg)
	t.Cleanup(r.Destroy)
	return r
}

// with runs a test with a registry, in time that passes by itself.
func with(t *testing.T, edit func(*extension.Config), test func(*testing.T, *etcdfake.Etcd, *Registry)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		test(t, e, configured(t, e, edit))
	})
}

const prefix = "/dubbo/" + urltest.Greeter + "/"

func at(host string, params ...string) *common.URL {
	u := urltest.Provider(params...)
	u.Ip = host
	return u
}

// told is a listener, and the addresses that it knows.
type told struct{ known map[string]bool }

func (l *told) Notify(e *framework.ServiceEvent) {
	if e.Action == remoting.EventTypeDel {
		delete(l.known, e.Service.Ip)
	} else {
		l.known[e.Service.Ip] = true
	}
}

func (l *told) NotifyAll(events []*framework.ServiceEvent, done func()) {
	defer done()
	l.known = map[string]bool{}
	for _, e := range events {
		l.known[e.Service.Ip] = true
	}
}

func (l *told) addresses() (all []string) {
	synctest.Wait()
	for address := range l.known {
		all = append(all, address)
	}
	slices.Sort(all)
	return all
}

func TestProviderIsRegisteredUntilItIsNot(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		assert.True(t, r.IsAvailable())
		assert.Equal(t, "etcdv3", r.GetURL().Protocol)
		require.NoError(t, r.Register(at("10.0.0.1")))
		require.NoError(t, r.Register(at("10.0.0.2")))
		require.NoError(t, r.Register(at("10.0.0.2", "weight", "5")), "again, with other parameters")
		assert.Len(t, e.Keys(prefix+"providers/"), 2)
		require.NoError(t, r.UnRegister(at("10.0.0.2")), "which it has replaced")
		assert.Len(t, e.Keys(prefix+"providers/"), 2)
		require.NoError(t, r.UnRegister(at("10.0.0.2", "weight", "5")))
		assert.Len(t, e.Keys(prefix+"providers/"), 1)
		require.NoError(t, r.Register(urltest.Consumer()))
		require.NoError(t, r.Register(at("10.0.0.3", "dynamic", "false")))

		r.Destroy()
		r.Destroy()
		assert.False(t, r.IsAvailable())
		assert.Len(t, e.Keys(prefix+"providers/"), 1, "what is not dynamic stays")
		assert.Empty(t, e.Keys(prefix+"consumers/"))
		assert.ErrorIs(t, r.Register(at("10.0.0.1")), errDestroyed)
		assert.ErrorIs(t, r.Subscribe(urltest.Consumer(), &told{}), errDestroyed)
		assert.NoError(t, r.UnSubscribe(urltest.Consumer(), &told{}))
		assert.NoError(t, r.UnRegister(at("10.0.0.1")))
	})
}

func TestRegistrationWithoutEtcdIsMadeUpFor(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		e.Away(true)
		require.NoError(t, r.Register(at("10.0.0.1")))
		require.NoError(t, r.Register(at("10.0.0.2")))
		require.NoError(t, r.UnRegister(at("10.0.0.2")))
		assert.ErrorContains(t, r.Register(at("10.0.0.3", constant.CheckKey, "true")), "connection refused")
		e.Away(false)
		time.Sleep(session)
		assert.Len(t, e.Keys(prefix+"providers/"), 1)
	})
}

func TestRegistrationThatEtcdRefusesLeavesWhatThereWas(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		require.NoError(t, r.Register(at("10.0.0.1")))
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if method == "Txn" {
					return rpctypes.ErrGRPCPermissionDenied
				}
				return nil
			}
		})
		require.ErrorIs(t, r.Register(at("10.0.0.1", "weight", "5")), rpctypes.ErrPermissionDenied)
		require.ErrorIs(t, r.Register(at("10.0.0.2")), rpctypes.ErrPermissionDenied)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(time.Minute)
		keys := e.Keys(prefix + "providers/")
		require.Len(t, keys, 1)
		for key := range keys {
			assert.NotContains(t, key, "weight")
		}
	})
}

func TestSubscriptionIsToldUntilItEnds(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		require.NoError(t, r.Register(at("10.0.0.1")))
		l := &told{}
		require.NoError(t, r.LoadSubscribeInstances(urltest.Consumer(), l))
		assert.Equal(t, []string{"10.0.0.1"}, l.addresses())
		require.NoError(t, r.Subscribe(urltest.Consumer(), l))
		require.NoError(t, r.Subscribe(urltest.Consumer(), l), "again")
		require.NoError(t, r.Register(at("10.0.0.2")))
		require.NoError(t, r.UnRegister(at("10.0.0.1")))
		assert.Equal(t, []string{"10.0.0.2"}, l.addresses())
		require.NoError(t, r.UnSubscribe(urltest.Consumer(), l))
		require.NoError(t, r.UnSubscribe(urltest.Consumer(), l), "again")
		require.NoError(t, r.Register(at("10.0.0.3")))
		assert.Equal(t, []string{"10.0.0.2"}, l.addresses())
		assert.Zero(t, e.Watches())
	})
}

func TestSubscriptionWithoutEtcdHasWhatTheCacheFileHas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.cache")
	cached := func(cfg *extension.Config) { cfg.CachePath, cfg.SaveAtOnce = func(string) string { return file }, true }
	with(t, cached, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		require.NoError(t, r.Register(at("10.0.0.1")))
		require.NoError(t, r.Subscribe(urltest.Consumer(), &told{}))
		synctest.Wait()
		r.Destroy()

		e.Away(true)
		again, l, unknown := configured(t, e, cached), &told{}, &told{}
		require.NoError(t, again.LoadSubscribeInstances(urltest.Consumer(), l))
		require.NoError(t, again.Subscribe(urltest.Consumer(), l))
		assert.Equal(t, []string{"10.0.0.1"}, l.addresses())
		require.NoError(t, again.LoadSubscribeInstances(urltest.Consumer("version", "2"), unknown))
		assert.Empty(t, unknown.addresses())
		assert.ErrorContains(t, again.LoadSubscribeInstances(urltest.Consumer("version", "3", constant.CheckKey, "true"), unknown), "connection refused")
		e.Away(false)
		time.Sleep(session)
		assert.Empty(t, l.addresses(), "that is what etcd has")
	})
}

func TestLastProvidersAreKeptIfThatIsConfigured(t *testing.T) {
	with(t, func(cfg *extension.Config) { cfg.KeepLast = true }, func(t *testing.T, _ *etcdfake.Etcd, r *Registry) {
		require.NoError(t, r.Register(at("10.0.0.1")))
		l := &told{}
		require.NoError(t, r.Subscribe(urltest.Consumer(), l))
		require.Equal(t, []string{"10.0.0.1"}, l.addresses())
		require.NoError(t, r.UnRegister(at("10.0.0.1")))
		assert.Equal(t, []string{"10.0.0.1"}, l.addresses())
	})
}

// unequal cannot be compared.
type unequal []string

func (unequal) Notify(*framework.ServiceEvent) {}

func (unequal) NotifyAll([]*framework.ServiceEvent, func()) {}

func TestWhatCannotBeDoneIsAnErrorThatSaysWhy(t *testing.T) {
	with(t, nil, func(t *testing.T, _ *etcdfake.Etcd, r *Registry) {
		assert.ErrorIs(t, r.Register(nil), errNoURL)
		assert.NoError(t, r.UnRegister(nil))
		assert.ErrorIs(t, r.Subscribe(nil, &told{}), errNoURL)
		assert.ErrorIs(t, r.UnSubscribe(nil, &told{}), errNoURL)
		assert.ErrorIs(t, r.LoadSubscribeInstances(nil, &told{}), errNoURL)
		nothing := urltest.URL("tri", "10.0.0.1", "1", "")
		assert.ErrorContains(t, r.Register(nothing), "names no service")
		assert.ErrorContains(t, r.UnRegister(nothing), "names no service")
		assert.ErrorContains(t, r.Subscribe(nothing, &told{}), "names no service")
		assert.ErrorContains(t, r.UnSubscribe(nothing, &told{}), "names no service")
		assert.ErrorContains(t, r.LoadSubscribeInstances(nothing, &told{}), "names no service")
		assert.ErrorContains(t, r.Subscribe(urltest.Consumer(), nil), "no listener")
		assert.ErrorContains(t, r.Subscribe(urltest.Consumer(), unequal{}), "cannot be compared")
	})
}
