// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"maps"
	"slices"
	"strconv"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// Provider is an instance and what it serves. Nothing of it is changed any more.
type Provider struct {
	instance  *registry.DefaultServiceInstance
	created   int64
	endpoints []*registry.Endpoint
	services  map[string]*info.ServiceInfo // by match key
}

// NewProvider returns what an instance serves, of which the key was created in a
// revision of etcd; 0: that is not known. Services are by match key:
// group/interface:version:protocol.
func NewProvider(i *registry.DefaultServiceInstance, created int64, services map[string]*info.ServiceInfo) *Provider {
	return &Provider{instance: i, created: created, endpoints: endpointsOf(i), services: services}
}

// Created is the revision in which the instance's key was created; 0: that is
// not known.
func (p *Provider) Created() int64 { return p.created }

// URLs returns what a consumer of a service calls, made for this call, of an
// instance that has been the same since a revision of etcd. An endpoint that is an instance of its own (elsewhere says so
// of host:port) is left to that: a process with two protocols registers two
// instances, each of which names both.
func (p *Provider) URLs(matchKey string, since int64, elsewhere func(address string) bool) []*common.URL {
	service := p.services[matchKey]
	if service == nil {
		return nil
	}
	endpoints := slices.DeleteFunc(slices.Clone(p.endpoints), func(e *registry.Endpoint) bool {
		return e.Port != p.instance.Port && elsewhere(p.addressOf(e))
	})
	if len(endpoints) == 0 && len(p.endpoints) > 0 {
		return nil
	}
	return urlsOf(p.instance, endpoints, since, service)
}

// others returns the addresses of the endpoints that are not that of the
// instance.
func (p *Provider) others() []string {
	var addresses []string
	for _, e := range p.endpoints {
		if e.Port != p.instance.Port {
			addresses = append(addresses, p.addressOf(e))
		}
	}
	return addresses
}

// addressOf is the address of an endpoint as it stands in the key of an instance.
func (p *Provider) addressOf(e *registry.Endpoint) string {
	return p.instance.Host + ":" + strconv.Itoa(e.Port)
}

// endpointsOf returns the protocols of an instance and their ports.
func endpointsOf(i *registry.DefaultServiceInstance) []*registry.Endpoint {
	return slices.DeleteFunc(i.GetEndPoints(), func(e *registry.Endpoint) bool { return e == nil })
}

// urlsOf is registry.DefaultServiceInstance.ToURLs, together with what the
// framework's listener adds, the environment. The framework tells its invokers
// apart by address and by the time that the provider started, if their URLs were
// made of a text that has one: here it is the revision in which the instance's key
// was created, so that who comes back at an address is another.
func urlsOf(i *registry.DefaultServiceInstance, endpoints []*registry.Endpoint, created int64, service *info.ServiceInfo) []*common.URL {
	ports := []int{i.Port}
	if len(endpoints) > 0 {
		ports = nil
		for _, e := range endpoints {
			if e.Protocol == service.Protocol {
				ports = append(ports, e.Port)
			}
		}
	}
	var urls []*common.URL
	for _, port := range ports {
		u := common.NewURLWithOptions(
			common.WithProtocol(service.Protocol), common.WithIp(i.Host), common.WithPort(strconv.Itoa(port)),
			common.WithPath(service.Name), common.WithInterface(service.Name), common.WithMethods(service.GetMethods()),
			common.WithParams(service.GetParams()), common.WithParamsValue(constant.Tagkey, i.Tag), common.WithWeight(i.GetWeight()),
		)
		if u.DelParam(constant.EnvironmentKey); i.Metadata[constant.EnvironmentKey] != "" {
			u.SetParam(constant.EnvironmentKey, i.Metadata[constant.EnvironmentKey])
		}
		if sane.Provider(u) == nil { // else nobody could call it
			urls = append(urls, startedAt(created, u))
		}
	}
	return urls
}

// startedAt returns the URL as if it were made of a text with a timestamp; 0: as
// it is.
func startedAt(timestamp int64, u *common.URL) *common.URL {
	if timestamp == 0 {
		return u
	}
	text := "tri://0.0.0.0?" + constant.TimestampKey + "=" + strconv.FormatInt(timestamp, 10)
	started, err := common.NewURL(text, common.WithProtocol(u.Protocol), common.WithIp(u.Ip), common.WithPort(u.Port),
		common.WithPath(u.Path), common.WithMethods(u.Methods))
	if err != nil {
		return u
	}
	started.ReplaceParams(u.GetParams())
	started.Location, started.PrimitiveURL = u.Location, u.PrimitiveURL
	return started
}

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
