// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Linked is the [Contender] that has a name in dubbo-go: what is linked under it.
func Linked(name string, contender Contender) Contender {
	contender.Name = name
	contender.Open = func(address string, params ...string) (Registry, error) {
		u, err := common.NewURL(name+"://"+address, common.WithLocation(address), testkit.With(patiently(params)...))
		if err != nil {
			return nil, err
		}
		r, err := extension.GetRegistry(name, u)
		return linked{r}, err
	}
	contender.Discover = func(address string, params ...string) (Discovery, error) {
		u, err := common.NewURL(constant.ServiceRegistryProtocol+"://"+address, common.WithLocation(address),
			common.WithParamsValue(constant.RegistryKey, name), testkit.With(patiently(params)...))
		if err != nil {
			return nil, err
		}
		return extension.GetServiceDiscovery(u)
	}
	return contender
}

// patiently has requests wait for as long as they would at a server that does
// nothing else.
func patiently(params []string) []string {
	return append([]string{constant.RegistryTimeoutKey, "60s"}, params...)
}

type linked struct{ registry.Registry }

// Subscribe does what the framework's directory does.
func (r linked) Subscribe(u *common.URL, l registry.NotifyListener) error {
	if err := r.LoadSubscribeInstances(u, l); err != nil {
		return err
	}
	go func() { _ = r.Registry.Subscribe(u, l) }()
	return nil
}
