// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/global"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// process is what a process has that refers to services in one etcd: a registry
// of type service, and a metadata report. There is one at a time: the framework
// keeps the reports in a variable.
type process struct {
	t        testing.TB
	etcd     *clientv3.Client
	url      *common.URL
	registry registry.Registry
	revision string // of the metadata of all applications
}

// revisions makes those of the metadata: the framework knows for good what it has
// heard of one.
var revisions atomic.Int64

// newProcess makes one. params are of its registry.
func newProcess(t testing.TB, etcd *etcdtest.Server, address string, params ...string) *process {
	t.Helper()
	metadata.ClearMetadataReportInstances()
	factory := &reports{MetadataReportFactory: extension.GetMetadataReportFactory("etcdv3")}
	extension.SetMetadataReportFactory("etcdv3", func() report.MetadataReportFactory { return factory })
	u, err := common.NewURL(constant.ServiceRegistryProtocol+"://"+address, common.WithLocation(address), common.WithParams(url.Values{
		constant.RegistryKey: {"etcdv3"}, constant.RegistryIdKey: {"main"}, constant.RegistryTimeoutKey: {"5s"}, "file-cache": {"false"},
	}), testkit.With(params...))
	require.NoError(t, err)
	require.NoError(t, metadata.InitRegistryMetadataReport(map[string]*global.RegistryConfig{
		"main": {
			Protocol: "etcdv3", Address: address, Username: u.Username, Password: u.Password,
			Timeout: "5s", UseAsMetaReport: "true", Params: map[string]string{"file-cache": "false"},
		},
	}))
	extension.SetMetadataReportFactory("etcdv3", func() report.MetadataReportFactory { return factory.MetadataReportFactory })
	r, err := extension.GetRegistry(u.Protocol, u)
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Destroy()
		require.NoError(t, factory.made.(io.Closer).Close())
	})
	return &process{t: t, etcd: etcd.Client(), url: u, registry: r, revision: fmt.Sprintf("%032x", revisions.Add(1))}
}

// reports keeps what it makes: the framework destroys no report, and hands out
// none.
type reports struct {
	report.MetadataReportFactory
	made report.MetadataReport
}

func (r *reports) CreateMetadataReport(u *common.URL) report.MetadataReport {
	r.made = r.MetadataReportFactory.CreateMetadataReport(u)
	return r.made
}

// refer makes a directory for a service, as registryProtocol.Refer does.
func (p *process) refer(service string, params ...string) directory.Directory {
	p.t.Helper()
	d, err := p.tryToRefer(service, params...)
	require.NoError(p.t, err)
	return d
}

// tryToRefer returns the error of the subscription as well.
func (p *process) tryToRefer(service string, params ...string) (directory.Directory, error) {
	p.t.Helper()
	sub := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithPath(service), common.WithInterface(service),
		common.WithParamsValue(constant.ApplicationKey, "consumer"), common.WithParamsValue(constant.SideKey, constant.SideConsumer), testkit.With(params...))
	d := testkit.NewDirectory(p.t, p.registry, p.url, sub)
	return d, d.Subscribe(sub)
}

// serve has an application serve some services, with n instances.
func (p *process) serve(application string, n int, services ...string) {
	p.t.Helper()
	serves := map[string]*info.ServiceInfo{}
	for _, name := range services {
		service := info.NewServiceInfo(name, "", "", "tri", name, map[string]string{"methods": "Greet", "timeout": "3s"})
		serves[service.MatchKey] = service
		p.put("/dubbo/mapping/"+name, application)
	}
	content, err := json.Marshal(info.NewMetadataInfoWithParams(application, p.revision, serves))
	require.NoError(p.t, err)
	p.put("/dubbo/"+application+"/"+p.revision, string(content))
	var putting errgroup.Group
	putting.SetLimit(64)
	for i := range n {
		putting.Go(func() error {
			_, err := p.etcd.Put(p.t.Context(), instanceKey(application, i), p.instance(application, i, ""))
			return err
		})
	}
	require.NoError(p.t, putting.Wait())
}

func (p *process) put(key, value string) {
	p.t.Helper()
	testkit.Put(p.t, p.etcd, key, value)
}

func hostOf(i int) string { return fmt.Sprintf("127.%d.%d.1", 1+i/250, i%250) }

func addressOf(i int) string { return hostOf(i) + ":20000" }

func instanceKey(application string, i int) string {
	return "/services/" + application + "/" + addressOf(i)
}

// instance is the value of an instance's key; more makes it another one.
func (p *process) instance(application string, i int, more string) string {
	return fmt.Sprintf(`{"serviceName":%q,"host":%q,"port":20000,"enabled":true,"healthy":true,"metadata":{`+
		`"dubbo.metadata.revision":%q,"dubbo.metadata.storage-type":"remote","dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]","more":%q}}`,
		application, hostOf(i), p.revision, more)
}
