// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"io"
	"slices"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// actions keeps what it is told of as dubbo-admin's control plane does
// (InterfaceServiceChangedNotifyListener of dubbo-kubernetes v0.2.0): an addition of
// what it has had is ignored, and a deletion needs the URL of what it deletes.
type actions struct {
	mu     sync.Mutex
	added  []string
	served map[string]string // applications by address
}

func (a *actions) Notify(e *registry.ServiceEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch text := e.Service.String(); {
	case e.Action == remoting.EventTypeDel:
		delete(a.served, e.Service.Address())
	case e.Action == remoting.EventTypeAdd && slices.Contains(a.added, text):
	default:
		a.added = append(a.added, text)
		a.served[e.Service.Address()] = e.Service.GetParam(constant.ApplicationKey, "")
	}
}

// NotifyAll takes no notice of the callback.
func (a *actions) NotifyAll(events []*registry.ServiceEvent, _ func()) {
	for _, e := range events {
		a.Notify(e)
	}
}

func (a *actions) knows(address, application string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.served[address] == application
}

// It makes all extensions from one URL, subscribes again every half hour, and keeps
// its rules in the config center.
func TestAControlPlaneIsServedByOneURL(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	url := func() *common.URL {
		u, err := common.NewURL(etcd.Endpoint(), common.WithProtocol("etcdv3"), testkit.With(
			constant.ConfigNamespaceKey, "", constant.ConfigGroupKey, "dubbo", constant.MetadataReportGroupKey, "dubbo",
			constant.ClientNameKey, "etcdv3-"+etcd.Endpoint(), constant.RegistryKey, "etcdv3"))
		require.NoError(t, err)
		return u
	}
	factory, err := extension.GetConfigCenterFactory("etcdv3")
	require.NoError(t, err)
	center, err := factory.GetDynamicConfiguration(url())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, center.(io.Closer).Close()) })
	r, err := extension.GetRegistry("etcdv3", url())
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	at := url()
	at.Protocol = "service-discovery"
	discovery, err := extension.GetServiceDiscovery(at)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, discovery.Destroy()) })
	report := extension.GetMetadataReportFactory("etcdv3").CreateMetadataReport(url())
	t.Cleanup(func() { assert.NoError(t, report.(io.Closer).Close()) })

	// What is registered by interface.
	everything := everything(t)
	everything.SetParam(constant.CategoryKey, "providers,consumers")
	l := &actions{served: map[string]string{}}
	const first, second = "10.0.0.1:20000", "10.0.0.2:20000"
	provider := func(address string) *common.URL {
		u, err := common.NewURL("tri://" + address + "/org.all.Service?interface=org.all.Service&side=provider&application=shop&timestamp=1")
		require.NoError(t, err)
		return u
	}
	shop := testkit.NewRegistry(t, etcd.Endpoint())
	require.NoError(t, shop.Register(provider(first)))
	for range 2 {
		require.NoError(t, r.Subscribe(everything, l))
		require.True(t, testkit.Eventually(func() bool { return l.knows(first, "shop") }))
	}
	testkit.RequireWatchers(t, etcd, 1+2) // with those of what this process has registered itself: a key, and its parent
	require.NoError(t, shop.Register(provider(second)))
	require.True(t, testkit.Eventually(func() bool { return l.knows(second, "shop") }))
	require.NoError(t, shop.UnRegister(provider(first)))
	require.True(t, testkit.Eventually(func() bool { return l.knows(first, "") }))

	// What is registered by application.
	require.NoError(t, report.RegisterServiceAppMapping("org.all.Service", "mapping", "inn"))
	apps, err := report.GetServiceAppMapping("org.all.Service", "mapping", nil)
	require.NoError(t, err)
	require.True(t, apps.Contains("inn"))
	require.NoError(t, discovery.Register(&registry.DefaultServiceInstance{ServiceName: "inn", Host: "10.0.0.3", Port: 20000, Enable: true, Healthy: true}))
	require.True(t, testkit.Eventually(func() bool { return len(discovery.GetInstances("inn")) == 1 }))

	// Rules.
	const key = "org.all.Service::.condition-router"
	rule, err := center.GetRule(key, config_center.WithGroup("dubbo"))
	require.NoError(t, err)
	require.Empty(t, rule, "none is no error")
	require.NoError(t, center.PublishConfig(key, "dubbo", "conditions: []"))
	rule, err = center.GetRule(key, config_center.WithGroup("dubbo"))
	require.NoError(t, err)
	require.Contains(t, rule, "conditions: []")
	keys, err := center.GetConfigKeysByGroup("dubbo")
	require.NoError(t, err)
	require.Equal(t, []any{key}, keys.Values())
	keys, err = center.GetConfigKeysByGroup("mapping")
	require.NoError(t, err)
	require.Zero(t, keys.Size())
	require.NoError(t, center.RemoveConfig(key, "dubbo"))
}
