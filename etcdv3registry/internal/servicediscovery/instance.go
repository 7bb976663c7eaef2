// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// value is an instance as JSON, for three readers: this one, dubbo-go's
// built-in one, which takes any case but asks for "enable", and Java's Gson
// (org.apache.dubbo.registry.client.DefaultServiceInstance), which is
// case-sensitive and asks for "enabled". What is absent was not written by
// whoever it is from.
type value struct {
	ID          string            `json:"id,omitempty"`
	ServiceName string            `json:"serviceName"`
	Host        string            `json:"host"`
	Port        int               `json:"port"`
	Weight      int64             `json:"weight,omitempty"`
	Enable      *bool             `json:"enable,omitempty"`
	Enabled     *bool             `json:"enabled,omitempty"`
	Healthy     *bool             `json:"healthy,omitempty"`
	Metadata    map[string]string `json:"metadata"`
	Address     string            `json:"address,omitempty"`
	GroupName   string            `json:"groupName,omitempty"`
	Tag         string            `json:"tag,omitempty"`
}

// nameOf is the key of an instance.
func nameOf(root string, instance registry.ServiceInstance) (string, error) {
	if instance == nil {
		return "", errors.New("there is no instance")
	}
	return layout.InstanceKey(root, instance.GetServiceName(), instance.GetHost(), instance.GetPort())
}

func keyOf(root string, instance registry.ServiceInstance) (desired.Key, error) {
	name, err := nameOf(root, instance)
	if err != nil {
		return desired.Key{}, err
	}
	enabled, healthy := instance.IsEnable(), instance.IsHealthy()
	v := value{
		ID:          instance.GetID(),
		ServiceName: instance.GetServiceName(),
		Host:        instance.GetHost(),
		Port:        instance.GetPort(),
		Enable:      &enabled,
		Enabled:     &enabled,
		Healthy:     &healthy,
		Metadata:    instance.GetMetadata(),
		Tag:         instance.GetTag(),
	}
	if known, ok := instance.(*registry.DefaultServiceInstance); ok { // its methods have defaults for what was not said
		v.Weight, v.Address, v.GroupName = known.Weight, known.Address, known.GroupName
	} else {
		v.Weight, v.Address = instance.GetWeight(), instance.GetAddress()
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return desired.Key{}, fmt.Errorf("write it as JSON: %w", err)
	}
	return desired.Key{Name: name, Value: string(encoded)}, nil
}

// found is what a key in etcd says.
type found struct {
	instance *registry.DefaultServiceInstance // nil: err says why
	err      error
	encoded  []byte
	cached   func() string // how it stands in the cache file
}

// decode reads a key that whoever wrote. It is a function for
// listener.Change.Decode.
func decode(key string, encoded []byte) any {
	f := &found{encoded: encoded, cached: sync.OnceValue(func() string { return toCache(key, encoded) })}
	f.instance, f.err = parse(key, encoded)
	return f
}

func parse(key string, encoded []byte) (*registry.DefaultServiceInstance, error) {
	if len(encoded) > sane.MaxURL {
		return nil, sane.ErrTooLarge
	}
	var v value
	if err := json.Unmarshal(encoded, &v); err != nil {
		return nil, fmt.Errorf("its value is no instance as JSON: %w", err)
	}
	application, address := layout.SplitInstance(key)
	switch {
	case v.Host == "":
		return nil, errors.New("its value names no host")
	case !sane.IsHost(v.Host):
		return nil, fmt.Errorf("its value has the host %s", sane.Quote(v.Host))
	case v.Port < 0 || v.Port > 65535:
		return nil, fmt.Errorf("its value has the port %d", v.Port)
	case v.Host+":"+strconv.Itoa(v.Port) != address: // by whomever it is written, they are the same
		return nil, fmt.Errorf("its value is that of %s", sane.Quote(v.Host+":"+strconv.Itoa(v.Port)))
	case v.ServiceName != "" && v.ServiceName != application:
		return nil, fmt.Errorf("its value is that of an instance of %s", sane.Quote(v.ServiceName))
	}
	instance := &registry.DefaultServiceInstance{
		ID:          v.ID,
		ServiceName: v.ServiceName,
		Host:        v.Host,
		Port:        v.Port,
		Weight:      v.Weight,
		Enable:      said(v.Enabled, v.Enable),
		Healthy:     said(v.Healthy),
		Metadata:    v.Metadata,
		Address:     v.Address,
		GroupName:   v.GroupName,
		Tag:         v.Tag,
	}
	maps.DeleteFunc(instance.Metadata, func(name, value string) bool { return isLogged(name) && !sane.IsPlain(value) })
	var endpoints []*registry.Endpoint
	if json.Unmarshal([]byte(instance.Metadata[constant.ServiceInstanceEndpoints]), &endpoints) != nil {
		delete(instance.Metadata, constant.ServiceInstanceEndpoints) // or all of the instance is logged
	}
	if !sane.IsPlain(instance.Tag) {
		instance.Tag = ""
	}
	if !sane.ProviderParameter(constant.WeightKey, strconv.FormatInt(instance.Weight, 10)) {
		instance.Weight = 0 // it is not said; the sum of larger ones is no number
	}
	if instance.ServiceName == "" {
		instance.ServiceName = application
	}
	if instance.ID == "" || !sane.IsPlain(instance.ID) {
		instance.ID = instance.Host + ":" + strconv.Itoa(instance.Port)
	}
	return instance, nil
}

// isLogged reports whether the framework reads an entry of the metadata, and so may
// log it as it is. What else there is belongs to its owner.
func isLogged(name string) bool {
	return strings.HasPrefix(name, "dubbo.") || name == constant.EnvironmentKey
}

// said is the first of several values that was written; none: true.
func said(values ...*bool) bool {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return true
}

// toCache writes a key and its value as one word without white space.
func toCache(key string, encoded []byte) string {
	_, address := layout.SplitInstance(key)
	return url.QueryEscape(address) + "=" + url.QueryEscape(string(encoded))
}

// fromCache is toCache's inverse; ok is false for a word that is not its result.
func fromCache(word string) (address string, encoded []byte, ok bool) {
	first, second, ok := strings.Cut(word, "=")
	address, errAddress := url.QueryUnescape(first)
	plain, errValue := url.QueryUnescape(second)
	return address, []byte(plain), ok && errAddress == nil && errValue == nil
}
