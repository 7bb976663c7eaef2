// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	framework "dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/registry"
)

// newRegistry is the framework's factory of interface-level registries. The
// framework calls it for every export, reference and shutdown and forgets all
// results but the first, so it only reads the URL: whatever costs something is
// shared, and acquired by the first use.
func newRegistry(u *common.URL) (framework.Registry, error) {
	s, err := newSettings(u, inRegistry)
	if err != nil {
		return nil, err
	}
	cfg := s.of(u, s.root())
	if cfg.URL.GetParam(constant.RegistryTimeoutKey, "") != "" { // the framework, which waits as long, reads no bare milliseconds
		cfg.URL.SetParam(constant.RegistryTimeoutKey, s.Timeout.String())
	}
	return registry.New(cfg), nil
}
