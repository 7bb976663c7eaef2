// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"cmp"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/config_center"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/configcenter"
)

// configCenters is the framework's factory of config centers.
type configCenters struct{}

// GetDynamicConfiguration reads the URL, and does nothing else before the config
// center is used. Only with check=true it asks etcd: for the framework a
// configuration that cannot be read is no reason not to start.
func (configCenters) GetDynamicConfiguration(u *common.URL) (config_center.DynamicConfiguration, error) {
	s, err := newSettings(u, inConfigCenter)
	if err != nil {
		return nil, err
	}
	center := configcenter.New(configcenter.Config{
		URL:     withoutSecrets(u),
		Cluster: s.cluster,
		// The group is in the key of each configuration; rules have one of their own.
		Root:    joinPath(cmp.Or(s.namespace, config_center.DefaultGroup), "config"),
		Timeout: s.timeout,
	})
	if s.check {
		if err := center.Reach(); err != nil {
			_ = center.Close()
			return nil, err
		}
	}
	return center, nil
}
