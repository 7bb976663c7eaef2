// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"encoding/json"
	"io"
	"slices"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/global"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/protocol/invocation"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// NewRegistry asks the framework for the registry at an address of etcd. It is
// destroyed when the test ends. params are pairs of a name and a value, see
// [With].
func NewRegistry(t testing.TB, address string, params ...string) registry.Registry {
	t.Helper()
	r, err := OpenRegistry(address, params...)
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	return r
}

// OpenRegistry is NewRegistry for those who destroy it themselves.
func OpenRegistry(address string, params ...string) (registry.Registry, error) {
	u, err := common.NewURL("etcdv3://"+address, common.WithLocation(address), With(params...))
	if err != nil {
		return nil, err
	}
	return extension.GetRegistry("etcdv3", u)
}

// NewDiscovery is NewRegistry for the service discovery of the application
// level.
func NewDiscovery(t testing.TB, address string, params ...string) registry.ServiceDiscovery {
	t.Helper()
	u, err := common.NewURL("service-discovery-registry://"+address, common.WithLocation(address),
		common.WithParamsValue(constant.RegistryKey, "etcdv3"), With(params...))
	require.NoError(t, err)
	d, err := extension.GetServiceDiscovery(u)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Destroy() })
	return d
}

// NewReport is NewRegistry for the metadata report.
func NewReport(t testing.TB, address string, params ...string) report.MetadataReport {
	t.Helper()
	r := OpenReport(t, address, params...)
	t.Cleanup(func() { assert.NoError(t, r.(io.Closer).Close()) })
	return r
}

// OpenReport is NewReport for those who close it themselves. It makes the URL as
// metadata.ReportOptions does.
func OpenReport(t testing.TB, address string, params ...string) report.MetadataReport {
	t.Helper()
	u, err := common.NewURL(address, common.WithLocation(address), common.WithProtocol("etcdv3"),
		common.WithParamsValue(constant.TimeoutKey, ""), common.WithParamsValue(constant.MetadataReportGroupKey, ""),
		common.WithParamsValue(constant.MetadataReportNamespaceKey, ""), With(params...))
	require.NoError(t, err)
	return extension.GetMetadataReportFactory("etcdv3").CreateMetadataReport(u)
}

// NewCenter is NewRegistry for the config center.
func NewCenter(t testing.TB, address string, params ...string) config_center.DynamicConfiguration {
	t.Helper()
	c, err := OpenCenter(address, params...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.(io.Closer).Close()) })
	return c
}

// OpenCenter is NewCenter for those who close it themselves. It makes the URL as
// the framework does, in globalConfigCenterURL.
func OpenCenter(address string, params ...string) (config_center.DynamicConfiguration, error) {
	u, err := common.NewURL(address, common.WithProtocol("etcdv3"), With(append([]string{
		constant.ConfigNamespaceKey, "", constant.ConfigGroupKey, "", constant.ConfigClusterKey, "",
		constant.ConfigAppIDKey, "dubbo", constant.ConfigTimeoutKey, "10s", constant.ClientNameKey, "dubbo.config-center-etcdv3-" + address,
	}, params...)...))
	if err != nil {
		return nil, err
	}
	factory, err := extension.GetConfigCenterFactory("etcdv3")
	if err != nil {
		return nil, err
	}
	return factory.GetDynamicConfiguration(u)
}

// Subscribe does what the framework's directory does: it loads, and subscribes.
func Subscribe(t testing.TB, r registry.Registry, u *common.URL, l registry.NotifyListener) {
	t.Helper()
	require.NoError(t, r.LoadSubscribeInstances(u, l))
	require.NoError(t, r.Subscribe(u, l))
}

// NewDirectory makes the directory of a reference, as registryProtocol.Refer
// does: at is the URL of the registry, and tells which kind of directory it is.
// It is destroyed when the test ends, and not subscribed yet.
func NewDirectory(t testing.TB, r registry.Registry, at, reference *common.URL) directory.Directory {
	t.Helper()
	reference.SetAttribute(constant.ClientInfoKey, "the present kind of Triple client")
	u := at.Clone()
	u.SubURL = reference
	for _, v := range []*common.URL{u, reference} {
		v.SetAttribute(constant.ApplicationKey, global.DefaultApplicationConfig())
	}
	d, err := extension.GetDirectoryInstance(u, r)
	require.NoError(t, err)
	t.Cleanup(d.Destroy)
	return d
}

// Offered returns the URLs of the invokers that a directory offers for a call.
func Offered(d directory.Directory) (urls []*common.URL) {
	for _, i := range d.List(invocation.NewRPCInvocation("Greet", nil, nil)) {
		urls = append(urls, i.GetURL())
	}
	return urls
}

// Invokers returns the addresses of what is offered, sorted.
func Invokers(d directory.Directory) []string { return Addresses(Offered(d)) }

// Addresses returns those of URLs, sorted.
func Addresses(urls []*common.URL) (addresses []string) {
	for _, u := range urls {
		addresses = append(addresses, u.Address())
	}
	slices.Sort(addresses)
	return addresses
}

// Strings returns the strings of a set, sorted.
func Strings(set *gxset.HashSet) (all []string) {
	for _, s := range set.Values() {
		all = append(all, s.(string))
	}
	slices.Sort(all)
	return all
}

// BenchmarkBareRead is of what nobody who reads instances can save: one range
// read, and their JSON.
func BenchmarkBareRead(b *testing.B, client *clientv3.Client, prefix string) {
	for b.Loop() {
		response, err := client.Get(b.Context(), prefix, clientv3.WithPrefix())
		require.NoError(b, err)
		for _, kv := range response.Kvs {
			var i registry.DefaultServiceInstance
			require.NoError(b, json.Unmarshal(kv.Value, &i))
		}
	}
}
