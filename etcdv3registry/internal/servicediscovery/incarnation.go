// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"maps"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
)

// incarnation is an instance that a caller or listener may change. One that has
// left and come back at the same address is another: a consumer that was told by
// the provider that it closes does not call the same one for a while (dubbo-go's
// closing-invoker-expire-time, 30 s), and would leave out the new one, too.
type incarnation struct {
	registry.DefaultServiceInstance
	created int64 // revision of the key's creation; 0: unknown
}

func incarnationOf(instance *registry.DefaultServiceInstance, created int64) *incarnation {
	i := &incarnation{DefaultServiceInstance: *instance, created: created}
	i.Metadata = maps.Clone(instance.Metadata)
	if i.Metadata == nil {
		i.Metadata = map[string]string{}
	}
	return i
}

// ToURLs is DefaultServiceInstance.ToURLs of an instance that started when its
// key was created.
func (i *incarnation) ToURLs(service *info.ServiceInfo) []*common.URL {
	return urlsOf(&i.DefaultServiceInstance, endpointsOf(&i.DefaultServiceInstance), i.created, service)
}
