// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"context"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/metrics/probe"

	// dubbo-go's own extensions of the same name are set in their init: importing
	// them makes sure that they come first and are replaced, not the other way round.
	_ "dubbo.apache.org/dubbo-go/v3/metadata/report/etcd"
	_ "dubbo.apache.org/dubbo-go/v3/registry/etcdv3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	references "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/reference"
)

// Protocol is what a registry config names to use this registry.
const Protocol = "etcdv3"

// shutdownTimeout bounds how long a stopping process waits for etcd to take
// the lease back; after that it expires.
const shutdownTimeout = 5 * time.Second

func init() {
	extension.SetRegistry(Protocol, newRegistry)
	extension.SetServiceDiscovery(Protocol, newServiceDiscovery)
	extension.SetDirectory(constant.ServiceRegistryProtocol, references.NewDirectory)
	extension.SetMetadataReportFactory(Protocol, func() report.MetadataReportFactory { return metadataReports{} })
	extension.SetConfigCenterFactory(Protocol, func() config_center.DynamicConfigurationFactory { return configCenters{} })
	probe.RegisterReadiness(Protocol, readiness)
	// The framework destroys no registry. This is its only call on the way out,
	// after the services have been unregistered and the last requests answered.
	extension.AddCustomShutdownCallback(func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		cluster.Shutdown(ctx)
	})
}
