// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"cmp"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/config_center"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/configcenter"
)

// configCenters is the framework's factory of config centers.
type configCenters struct{}

// requestTimeout bounds a single request: a service may well wait longer for its
// configuration, but this bound holds for everybody who shares the connection.
const requestTimeout = 10 * time.Second

// GetDynamicConfiguration reads the URL, and does nothing else before the config
// center is used. It does not look whether etcd is there (check has no meaning
// here): for the framework an error is no reason not to start, but it does
// without the config center then, and never hears of a rule.
func (configCenters) GetDynamicConfiguration(u *common.URL) (config_center.DynamicConfiguration, error) {
	s, err := newSettings(u, inConfigCenter)
	if err != nil {
		return nil, err
	}
	s.Cluster.Timeout = min(s.Timeout, requestTimeout)
	// The group is in the key of each configuration; rules have one of their own.
	return configcenter.New(s.of(u, joinPath(cmp.Or(s.namespace, config_center.DefaultGroup), "config"))), nil
}
