// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/apache/dubbo-kubernetes/pkg/core/extensions"
	"github.com/apache/dubbo-kubernetes/pkg/core/reg_client"
	"github.com/apache/dubbo-kubernetes/pkg/core/reg_client/factory"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// The name of this file sorts behind governance_config.go, whose init makes the map.
func init() {
	impls["etcdv3"] = func(cc config_center.DynamicConfiguration, r registry.Registry) GovernanceConfig {
		return &GovernanceConfigImpl{registryCenter: r, configCenter: cc}
	}
	extensions.SetRegClientFactory("etcdv3", func() factory.RegClientFactory { return nothingKept{} })
}

// nothingKept is for what the control plane keeps for itself, of which an
// administration needs nothing. On Nacos it has nothing either.
type nothingKept struct{}

func (n nothingKept) CreateRegClient(*common.URL) reg_client.RegClient { return n }
func (nothingKept) GetChildren(string) ([]string, error)               { return nil, nil }
func (nothingKept) SetContent(string, []byte) error                    { return nil }
func (nothingKept) GetContent(string) ([]byte, error)                  { return nil, nil }
func (nothingKept) DeleteContent(string) error                         { return nil }
