// SPDX-License-Identifier: Apache-2.0

// Package layout is how keys in etcd are written, read and shown.
package layout

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// The categories of org.apache.dubbo.common.constants.RegistryConstants.
const (
	Providers     = "providers"
	Consumers     = "consumers"
	Routers       = "routers"
	Configurators = "configurators"
)

// Categories are all of them.
var Categories = []string{Providers, Consumers, Routers, Configurators}

// javaEncoding is what java.net.URLEncoder writes where Go's QueryEscape
// writes something else: the same URL must be the same key.
var javaEncoding = strings.NewReplacer("~", "%7E", "%2A", "*")

// Encode makes one segment of a key of a text, as java.net.URLEncoder does.
func Encode(s string) string { return javaEncoding.Replace(url.QueryEscape(s)) }

// ServicePrefix is what the keys of an interface begin with.
func ServicePrefix(root, service string) string { return root + "/" + Encode(service) + "/" }

// Key is where a URL is registered.
type Key struct {
	Name       string
	Parent     string // of the interface
	Persistent bool   // it outlives the process
}

// KeyOf maps a URL that the framework registers to its key, as
// org.apache.dubbo.registry.etcd.EtcdRegistry.toUrlPath does:
//
//	/<group>/<interface>/<category>/<encoded URL>
//
// The interface key above it is what dubbo-admin finds services by.
func KeyOf(root string, u *common.URL) (Key, error) {
	service := u.Service()
	if service == "" {
		return Key{}, fmt.Errorf("%q names no service: it has neither an interface parameter nor a path", u.Protocol+"://"+u.Address())
	}
	category := CategoryOf(u)
	prefix := ServicePrefix(root, service)
	return Key{
		Name:       prefix + category + "/" + Encode(registeredURL(u, category)),
		Parent:     strings.TrimSuffix(prefix, "/"),
		Persistent: !u.GetParamBool("dynamic", true),
	}, nil
}

// CategoryOf says in which category a URL is registered: the one it names, or
// else the one of its role (dubbo-go) or side (Java), or else providers.
func CategoryOf(u *common.URL) string {
	if category := u.GetParam(constant.CategoryKey, ""); category != "" {
		return category
	}
	if role, err := strconv.Atoi(u.GetParam(constant.RegistryRoleKey, "")); err == nil && role >= 0 && role < len(common.DubboNodes) {
		return common.DubboNodes[role]
	}
	switch {
	case u.GetParam(constant.SideKey, "") == constant.SideConsumer, u.Protocol == constant.Consumer:
		return Consumers
	case u.Protocol == constant.OverrideProtocol:
		return Configurators
	default:
		return Providers
	}
}

// registeredURL writes the URL the way registry.BaseRegistry of dubbo-go and
// URL.toFullString of Java do: sorted parameters, not encoded by themselves
// (the whole becomes one encoded path segment).
func registeredURL(u *common.URL, category string) string {
	params := u.CopyParams()
	if params == nil {
		params = url.Values{}
	}
	protocol := u.Protocol
	setDefault := func(name, value string) {
		if params.Get(name) == "" {
			params.Set(name, value)
		}
	}
	switch category {
	case Providers:
		params.Set(constant.AnyhostKey, "true")
		if len(u.Methods) > 0 {
			params.Set(constant.MethodsKey, strings.Join(u.Methods, ","))
		}
	case Consumers:
		setDefault(constant.ProtocolKey, protocol)
		setDefault(constant.CategoryKey, Consumers)
		setDefault(constant.CheckKey, "false")
		protocol = constant.Consumer
	}

	var b strings.Builder
	b.WriteString(protocol + "://")
	if u.Username != "" || u.Password != "" {
		b.WriteString(u.Username + ":" + u.Password + "@")
	}
	b.WriteString(hostPort(u) + "/" + strings.TrimPrefix(u.Path, "/"))
	separator := byte('?')
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if value := params.Get(name); value != "" {
			b.WriteByte(separator)
			b.WriteString(name + "=" + value)
			separator = '&'
		}
	}
	return b.String()
}

func hostPort(u *common.URL) string {
	host := u.Ip
	if host == "" && !strings.ContainsAny(u.Location, ":,") {
		host = u.Location // where common.NewURL leaves a host without a port
	}
	if host == "" {
		host = common.GetLocalIp()
	}
	if u.Port != "" {
		return net.JoinHostPort(host, u.Port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// ApplicationOf is the name of the application, as it stands in the default
// path of the cache file.
func ApplicationOf(urls ...*common.URL) string {
	for _, u := range urls {
		for ; u != nil; u = u.SubURL {
			if name := u.GetParam(constant.ApplicationKey, ""); name != "" {
				return name
			}
		}
	}
	return "unknown"
}
