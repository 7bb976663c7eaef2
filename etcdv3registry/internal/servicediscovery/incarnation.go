// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"maps"
	"strconv"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
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

// ToURLs is DefaultServiceInstance.ToURLs. The framework tells its invokers apart
// by address and by the time that the provider started, if their URLs were made
// of a text that has one.
func (i *incarnation) ToURLs(service *info.ServiceInfo) []*common.URL {
	urls := i.DefaultServiceInstance.ToURLs(service)
	if i.created == 0 {
		return urls
	}
	text := "tri://0.0.0.0?" + constant.TimestampKey + "=" + strconv.FormatInt(i.created, 10)
	for n, u := range urls {
		again, err := common.NewURL(text, common.WithProtocol(u.Protocol), common.WithIp(u.Ip), common.WithPort(u.Port),
			common.WithPath(u.Path), common.WithMethods(u.Methods))
		if err != nil {
			continue
		}
		again.ReplaceParams(u.GetParams())
		again.Location, again.PrimitiveURL = u.Location, u.PrimitiveURL
		urls[n] = again
	}
	return urls
}
