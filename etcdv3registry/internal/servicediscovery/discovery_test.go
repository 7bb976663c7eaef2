// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const session = 10 * time.Second

// config is that of a Discovery.
type config struct {
	extension.Config
	metadata Metadata
}

// discovering is a Discovery of an etcd, which is destroyed when the test ends;
// edit changes its configuration.
func discovering(t *testing.T, e *etcdfake.Etcd, edit func(*config)) *Discovery {
	cfg := config{Config: extension.Config{
		Cluster: cluster.Config{
			Endpoints: []string{t.Name()}, Session: session, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t),
		},
		Root:    "/services",
		Timeout: 2 * time.Second,
	}}
	if edit != nil {
		edit(&cfg)
	}
	d := New(cfg.Config, cfg.metadata)
	t.Cleanup(func() { _ = d.Destroy() })
	return d
}

// with runs a test with a Discovery, in time that passes by itself.
func with(t *testing.T, edit func(*config), test func(*testing.T, *etcdfake.Etcd, *Discovery)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		test(t, e, discovering(t, e, edit))
	})
}

// at is an instance of the shop.
func at(host string) *registry.DefaultServiceInstance {
	return &registry.DefaultServiceInstance{
		ServiceName: "shop", Host: host, Port: 20000, Enable: true, Healthy: true, Metadata: map[string]string{"zone": "east"},
	}
}

// refuse has etcd refuse what is written.
func refuse(e *etcdfake.Etcd) {
	e.Set(func(e *etcdfake.Etcd) {
		e.Fail = func(method string, _ []string) error {
			if method == "Txn" {
				return rpctypes.ErrGRPCPermissionDenied
			}
			return nil
		}
	})
}

func TestAnInstanceIsRegisteredUntilItIsNot(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		require.NoError(t, d.Register(at("10.0.0.1")))
		require.NoError(t, d.Register(at("10.0.0.2")))
		assert.Len(t, e.Keys("/services/shop/"), 2)
		assert.NotZero(t, e.Lease("/services/shop/10.0.0.1:20000"))
		updated := at("10.0.0.2")
		updated.Metadata["zone"] = "west"
		require.NoError(t, d.Update(updated))
		assert.Contains(t, e.Keys("")["/services/shop/10.0.0.2:20000"], "west")
		require.NoError(t, d.Unregister(at("10.0.0.2")), "with whatever metadata")
		require.NoError(t, d.Unregister(at("10.0.0.2")), "again")
		assert.Len(t, e.Keys("/services/shop/"), 1)

		require.NoError(t, d.Destroy())
		require.NoError(t, d.Destroy())
		assert.Empty(t, e.Keys(""))
		require.ErrorIs(t, d.Register(at("10.0.0.1")), extension.ErrClosed)
		require.NoError(t, d.Unregister(at("10.0.0.1")))
	})
}

// Gson, which reads it in Java, tells names apart by case and asks for enabled,
// dubbo-go's built-in discovery for enable.
func TestTheValueOfAnInstanceIsReadByEveryClient(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		i := at("10.0.0.1")
		i.Enable, i.Weight, i.Tag = false, 7, "gray"
		require.NoError(t, d.Register(i))
		var value map[string]any
		require.NoError(t, json.Unmarshal([]byte(e.Keys("")["/services/shop/10.0.0.1:20000"]), &value))
		assert.Equal(t, map[string]any{
			"serviceName": "shop", "host": "10.0.0.1", "port": 20000.0, "enable": false, "enabled": false, "healthy": true,
			"weight": 7.0, "tag": "gray", "metadata": map[string]any{"zone": "east"},
		}, value)
		found := d.GetInstances("shop")
		require.Len(t, found, 1)
		assert.False(t, found[0].IsEnable())
		assert.EqualValues(t, 7, found[0].GetWeight())
		assert.Equal(t, "gray", found[0].GetTag())

		// An instance of somebody else's type, and what another client wrote.
		require.NoError(t, d.Register(struct{ registry.ServiceInstance }{at("10.0.0.2")}))
		e.Put("/services/shop/10.0.0.3:20000", `{"ID":"3","ServiceName":"shop","Host":"10.0.0.3","Port":20000,"Enable":false,"Metadata":null}`)
		synctest.Wait()
		found = d.GetInstances("shop")
		require.Len(t, found, 3)
		assert.Equal(t, "10.0.0.2:20000", found[1].GetAddress())
		assert.EqualValues(t, 100, found[1].GetWeight())
		assert.False(t, found[2].IsEnable())
		assert.True(t, found[2].IsHealthy(), "it does not say otherwise")
		assert.NotNil(t, found[2].GetMetadata())
	})
}

func TestAnInstanceThatCannotBeAKeyIsAnErrorThatSaysWhy(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		nameless, hostless, odd := at("10.0.0.1"), at(""), at("10.0.0.1")
		nameless.ServiceName, odd.Port = "a/b", 70000
		for reason, instance := range map[string]registry.ServiceInstance{
			"register nothing: there is no instance": nil,
			"configure dubbo.application.name":       nameless,
			"the host \"\" cannot be part of a key":  hostless,
			"70000 is no port":                       odd,
		} {
			require.ErrorContains(t, d.Register(instance), reason)
		}
		require.ErrorContains(t, d.Update(nil), "update nothing: there is no instance")
		require.ErrorContains(t, d.Unregister(nil), "unregister nothing: there is no instance")
		assert.Empty(t, e.Keys(""))
	})
}

func TestAnInstanceIsRegisteredWhenEtcdIsBack(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		log := logtest.Record(t)
		e.Away(true)
		begun := time.Now()
		require.NoError(t, d.Register(at("10.0.0.1")))
		require.NoError(t, d.Register(at("10.0.0.2")))
		require.NoError(t, d.Unregister(at("10.0.0.2")))
		assert.LessOrEqual(t, time.Since(begun), d.Timeout())
		assert.NotEmpty(t, log.Lines("WARN [etcdv3] instance 10.0.0.1:20000 of shop"))
		e.Away(false)
		time.Sleep(session)
		assert.Len(t, e.Keys("/services/shop/"), 1)
	})
	with(t, func(cfg *config) { cfg.Check = true }, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		e.Away(true)
		require.ErrorContains(t, d.Register(at("10.0.0.1")), "connection refused")
		e.Away(false)
		time.Sleep(session)
		assert.Empty(t, e.Keys(""), "the caller was told that it is not registered")
	})
}

func TestAfterARefusalTheInstanceIsWhatItWas(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		require.NoError(t, d.Register(at("10.0.0.1")))
		refuse(e)
		updated := at("10.0.0.1")
		updated.Metadata["zone"] = "west"
		require.ErrorIs(t, d.Update(updated), rpctypes.ErrPermissionDenied)
		require.ErrorIs(t, d.Register(at("10.0.0.2")), rpctypes.ErrPermissionDenied)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(time.Minute)
		keys := e.Keys("/services/")
		require.Len(t, keys, 1)
		assert.Contains(t, keys["/services/shop/10.0.0.1:20000"], "east")
	})
}

func TestAnInstanceIsNotSeenBeforeWhatBelongsToIt(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		c, err := d.user.Get()
		require.NoError(t, err)
		assert.True(t, c.Announced())
		var failed error
		calls := 0
		undo := c.BeforeInstance(func() error {
			calls++
			assert.Empty(t, e.Keys("/services/"))
			return failed
		})
		defer undo()
		failed = errors.New("the mapping is refused")
		require.ErrorContains(t, d.Register(at("10.0.0.1")), "register instance 10.0.0.1:20000 of shop: the mapping is refused")
		assert.Empty(t, e.Keys("/services/"))
		failed = nil
		require.NoError(t, d.Register(at("10.0.0.1")))
		assert.Len(t, e.Keys("/services/"), 1)
		assert.Equal(t, 2, calls)
	})
}

// The framework makes a Discovery for each reference.
func TestWhatOneDiscoveryRegisteredOutlivesTheOthers(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		others := []*Discovery{discovering(t, e, nil), discovering(t, e, nil)}
		assert.Equal(t, "etcdv3 service discovery at ["+t.Name()+"]", d.String())
		require.NoError(t, d.Register(at("10.0.0.1")))
		require.NoError(t, others[0].Register(at("10.0.0.2")))
		assert.Equal(t, e.Lease("/services/shop/10.0.0.1:20000"), e.Lease("/services/shop/10.0.0.2:20000"))
		for _, other := range others {
			require.NoError(t, other.Destroy())
		}
		time.Sleep(time.Hour)
		assert.Len(t, e.Keys("/services/"), 1)
		e.Expire()
		time.Sleep(session)
		assert.Len(t, e.Keys("/services/"), 1, "under a new lease")
	})
}

func TestADiscoveryWithoutEtcdIsDestroyedInTime(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		require.NoError(t, d.Register(at("10.0.0.1")))
		require.NoError(t, d.AddListener(newFollower("shop")))
		hold := make(chan struct{})
		e.Set(func(e *etcdfake.Etcd) { e.Hold = hold })
		begun := time.Now()
		require.ErrorContains(t, d.Destroy(), "etcdv3 service discovery: destroy: ")
		assert.LessOrEqual(t, time.Since(begun), 2*d.Timeout())
		close(hold)
		time.Sleep(session + time.Second)
		assert.Empty(t, e.Keys(""), "the lease has run out")
	})
}
