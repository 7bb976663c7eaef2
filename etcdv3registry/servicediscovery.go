// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	framework "dubbo.apache.org/dubbo-go/v3/registry/servicediscovery"
	gxset "github.com/dubbogo/gost/container/set"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// newServiceDiscovery is the framework's factory of application-level
// discovery. The framework calls it for every export and reference and destroys
// none of the results: it only reads the URL.
func newServiceDiscovery(u *common.URL) (registry.ServiceDiscovery, error) {
	s, err := newSettings(u, inRegistry)
	if err != nil {
		return nil, err
	}
	// Neither Java nor dubbo-go's built-in one have a group here; a namespace
	// keeps several tenants apart all the same.
	return servicediscovery.New(s.of(u, joinPath(s.namespace, "services")), metadataFor(layout.ApplicationOf(u), u.GetParam(constant.RegistryIdKey, constant.DefaultKey))), nil
}

// metadataFor asks as the framework does: its cache, the metadata report of the
// registry, or the instance itself.
func metadataFor(self, registryID string) servicediscovery.Metadata {
	return func(application, revision string, i registry.ServiceInstance) (*info.MetadataInfo, error) {
		// The framework's cache is a file, which it names after whoever asks first.
		framework.NewServiceInstancesChangedListener(self, registryID, gxset.NewSet())
		return framework.GetMetadataInfo(application, i, revision, registryID)
	}
}
