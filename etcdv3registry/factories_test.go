// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/configcenter"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/metadatareport"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// dubbo-go's own extensions of the name are linked, too.
func TestTheExtensionsOfTheNameAreOurs(t *testing.T) {
	u := registryConfig{address: "127.0.0.1:1"}.url(t)
	r, err := extension.GetRegistry(Protocol, u)
	require.NoError(t, err)
	assert.IsType(t, &registry.Registry{}, r)
	d, err := extension.GetServiceDiscovery(u)
	require.NoError(t, err)
	assert.IsType(t, &servicediscovery.Discovery{}, d)
	assert.IsType(t, &metadatareport.Report{}, extension.GetMetadataReportFactory(Protocol).CreateMetadataReport(u))
	factory, err := extension.GetConfigCenterFactory(Protocol)
	require.NoError(t, err)
	c, err := factory.GetDynamicConfiguration(u)
	require.NoError(t, err)
	assert.IsType(t, &configcenter.Center{}, c)
}

func TestWrongSettingsAreAnErrorOfEveryFactory(t *testing.T) {
	log := logtest.Record(t)
	u := with("session", "soon").url(t)
	_, err := extension.GetRegistry(Protocol, u)
	require.ErrorContains(t, err, "soon")
	_, err = extension.GetServiceDiscovery(u)
	require.ErrorContains(t, err, "soon")
	_, err = configCenters{}.GetDynamicConfiguration(u)
	require.ErrorContains(t, err, "soon")

	// The framework's factory of metadata reports has no error to return.
	r := metadataReports{}.CreateMetadataReport(u)
	assert.Len(t, log.Lines("ERROR [etcdv3] the metadata report does not work: "), 1)
	assert.Equal(t, Protocol, r.URL().Protocol)
	for name, call := range map[string]func(report.MetadataReport) error{
		"metadata":  func(r report.MetadataReport) error { _, err := r.GetAppMetadata("shop", "r"); return err },
		"publish":   func(r report.MetadataReport) error { return r.PublishAppMetadata("shop", "r", &info.MetadataInfo{}) },
		"unpublish": func(r report.MetadataReport) error { return r.UnPublishAppMetadata("shop", "r") },
		"revisions": func(r report.MetadataReport) error { _, err := r.ListAppRevisions("shop"); return err },
		"register a mapping": func(r report.MetadataReport) error {
			return r.RegisterServiceAppMapping("org.a.Greeter", "mapping", "shop")
		},
		"mapping": func(r report.MetadataReport) error {
			_, err := r.GetServiceAppMapping("org.a.Greeter", "mapping", nil)
			return err
		},
		"listener of mapping": func(r report.MetadataReport) error {
			return r.RemoveServiceAppMappingListener("org.a.Greeter", "mapping")
		},
	} {
		assert.ErrorContains(t, call(r), "soon", name)
	}
}

func TestNoExtensionShowsAPassword(t *testing.T) {
	u := registryConfig{address: "127.0.0.1:1", username: "shop", password: "secret"}.url(t)
	r := metadataReports{}.CreateMetadataReport(u)
	c, err := configCenters{}.GetDynamicConfiguration(u)
	require.NoError(t, err)
	d, err := newServiceDiscovery(u)
	require.NoError(t, err)
	assert.NotContains(t, r.URL().String(), "secret")
	assert.NotContains(t, c.(*configcenter.Center).GetURL().String(), "secret")
	assert.NotContains(t, d.String(), "secret")
	assert.Equal(t, "secret", u.Password, "the framework's own URL is left alone")
}

// A metadata report is made before anything is referred to or exported, and its
// URL names no application.
func TestTheApplicationOfAReportIsThatOfWhatTheProcessRefersTo(t *testing.T) {
	before := applicationOfProcess()
	u := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithInterface("org.a.Greeter"), common.WithPath("org.a.Greeter"),
		common.WithParamsValue(constant.ApplicationKey, "shop"))
	metadata.AddSubscribeURL(constant.DefaultKey, u)
	defer metadata.RemoveSubscribeURL(constant.DefaultKey, u)
	assert.NotEqual(t, "shop", before)
	assert.Equal(t, "shop", applicationOfProcess())
}

// It is not parallel: it counts goroutines.
func TestBuildingARegistryDoesNoIOAndStartsNoGoroutine(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()

	before := runtime.NumGoroutine()
	for range 50 {
		for _, address := range []string{"127.0.0.1:1", silent.Addr().String(), "no.such.host.invalid:2379"} {
			config := registryConfig{address: address, username: "root", password: "secret", timeout: "1h"}
			r, err := extension.GetRegistry(Protocol, config.url(t))
			require.NoError(t, err)
			require.IsType(t, &registry.Registry{}, r)
			require.True(t, r.IsAvailable())
		}
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before, "goroutines after building 150 registries")

	require.NoError(t, silent.(*net.TCPListener).SetDeadline(time.Now().Add(20*time.Millisecond)))
	_, err = silent.Accept()
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "the factory has connected")
}

func TestTheURLOfTheRegistryIsTheFrameworksWithoutThePassword(t *testing.T) {
	t.Parallel()
	u := registryConfig{address: "127.0.0.1:1", username: "root", password: "SECRET", group: "prod"}.url(t)
	r, err := newRegistry(u)
	require.NoError(t, err)
	assert.Equal(t, "SECRET", u.Password, "the framework's own URL")
	assert.Equal(t, u.CopyParams(), r.GetURL().CopyParams())
	assert.Equal(t, u.Location, r.GetURL().Location)
	assert.NotContains(t, r.GetURL().String(), "SECRET", "what the framework logs")
}
