// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"

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
	return servicediscovery.New(servicediscovery.Config{
		Cluster: s.cluster,
		// Neither Java nor dubbo-go's built-in one have a group here; a namespace
		// keeps several tenants apart all the same.
		Root:       joinPath(s.namespace, "services"),
		Timeout:    s.timeout,
		Check:      s.check,
		KeepLast:   s.keepLast,
		CacheFile:  s.cachePath(applicationOf(u)),
		SaveAtOnce: s.saveAtOnce,
	}), nil
}
