// SPDX-License-Identifier: Apache-2.0

// Package keys reads what Dubbo's registries, for Go and for Java, have in etcd. The
// formats are described in docs/architecture.md and in the README of the registry.
package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// Kind is what a key is.
type Kind string

// The kinds. Of Other nothing is known: it may belong to somebody else.
const (
	Provider     Kind = "provider"
	Consumer     Kind = "consumer"
	Configurator Kind = "configurator"
	Router       Kind = "router"
	Interface    Kind = "interface" // /dubbo/<interface>, by which dubbo-admin finds it
	Mapping      Kind = "mapping"
	Metadata     Kind = "metadata"
	Instance     Kind = "instance"
	Config       Kind = "config"
	Other        Kind = "other"
)

var categories = map[string]Kind{
	constant.ProviderCategory:      Provider,
	constant.ConsumerCategory:      Consumer,
	constant.ConfiguratorsCategory: Configurator,
	constant.RoutersCategory:       Router,
}

// Layout is where keys are: what they begin with, without a slash at the end.
type Layout struct {
	Root     string // of the interface level, mappings and metadata: /dubbo
	Services string // of instances: /services
	Config   string // of the configuration center: /dubbo/config
}

// Prefixes are what all keys begin with.
func (l Layout) Prefixes() []string {
	prefixes := []string{l.Root + "/", l.Services + "/"}
	if !strings.HasPrefix(l.Config, l.Root+"/") {
		prefixes = append(prefixes, l.Config+"/")
	}
	return prefixes
}

// Key is one that was read. Err says why it could not be: the fields after it are
// empty then.
type Key struct {
	Name string
	Kind Kind
	// Of names the interface, or the application of an instance or its metadata, or
	// the group of a configuration.
	Of string
	// Part is the last segment: an encoded URL, host:port, a revision, a data-id.
	Part string
	Err  error

	URL          *URL          // of the interface level
	Instance     *InstanceInfo // of an instance
	Applications []string      // of a mapping
	Metadata     *MetadataInfo // of a revision
}

// Read reads a key and its value.
func (l Layout) Read(name string, value []byte) Key {
	k := l.Split(name)
	switch k.Kind {
	case Provider, Consumer, Configurator, Router:
		k.URL, k.Err = parseURL(k.Kind, k.Part)
	case Instance:
		k.Instance, k.Err = parseInstance(k.Of, k.Part, value)
	case Mapping:
		if k.Applications = names(string(value)); len(k.Applications) == 0 {
			k.Err = errors.New("it names no application")
		}
	case Metadata:
		k.Metadata, k.Err = parseMetadata(k.Of, value)
	}
	return k
}

// Split says what a key is by its name, and nothing of what only its value says, or the
// URL in it.
func (l Layout) Split(name string) Key {
	k := Key{Name: name, Kind: Other}
	if rest, ok := strings.CutPrefix(name, l.Config+"/"); ok {
		if k.Of, k.Part, ok = strings.Cut(rest, "/"); ok && k.Part != "" {
			k.Kind = Config
		}
		return k
	}
	if rest, ok := strings.CutPrefix(name, l.Services+"/"); ok {
		if k.Of, k.Part, ok = strings.Cut(rest, "/"); ok && strings.Contains(k.Part, ":") && !strings.Contains(k.Part, "/") {
			k.Kind = Instance
		}
		return k
	}
	rest, ok := strings.CutPrefix(name, l.Root+"/")
	if !ok || rest == "" {
		return k
	}
	segments := strings.SplitN(rest, "/", 3)
	k.Of = segments[0]
	switch {
	case len(segments) == 1:
		k.Kind = Interface
	case len(segments) == 2 && segments[0] == "mapping" && segments[1] != "":
		k.Kind, k.Of = Mapping, segments[1]
	case len(segments) == 3 && categories[segments[1]] != "":
		k.Kind, k.Part = categories[segments[1]], segments[2]
	case len(segments) == 2 && segments[0] != "metadata" && segments[1] != "" && categories[segments[1]] == "":
		k.Kind, k.Part = Metadata, segments[1]
	}
	return k
}

// names are those in a mapping.
func names(value string) (names []string) {
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// MetadataInfo is what a revision of an application has.
type MetadataInfo struct {
	App      string                 `json:"app"`
	Revision string                 `json:"revision"`
	Services map[string]ServiceInfo `json:"services"`
}

// ServiceInfo is one service of a revision.
type ServiceInfo struct {
	Name     string            `json:"name"`
	Group    string            `json:"group"`
	Version  string            `json:"version"`
	Protocol string            `json:"protocol"`
	Port     int               `json:"port"`
	Path     string            `json:"path"`
	Params   map[string]string `json:"params"`
}

func parseMetadata(application string, value []byte) (*MetadataInfo, error) {
	var m MetadataInfo
	if err := json.Unmarshal(value, &m); err != nil {
		return nil, fmt.Errorf("its value is no metadata as JSON: %w", err)
	}
	if m.App != "" && m.App != application {
		return nil, fmt.Errorf("its value is that of %.200q", m.App)
	}
	return &m, nil
}

// URL is what stands in a key of the interface level.
type URL struct {
	Protocol string
	Host     string // without brackets
	Port     string // may be empty
	Path     string
	Params   map[string]string
}

// Param is a parameter, empty if there is none.
func (u *URL) Param(name string) string { return u.Params[name] }

// Address is host:port.
func (u *URL) Address() string {
	if u.Port == "" {
		return u.Host
	}
	return u.Host + ":" + u.Port
}

func parseURL(kind Kind, encoded string) (*URL, error) {
	if strings.Contains(encoded, "/") {
		return nil, errors.New("the URL in it is not percent-encoded")
	}
	raw, err := url.QueryUnescape(encoded)
	if err != nil {
		return nil, err
	}
	address, query, _ := strings.Cut(raw, "?")
	u := &URL{Params: map[string]string{}}
	var ok bool
	if u.Protocol, address, ok = strings.Cut(address, "://"); !ok {
		return nil, errors.New("there is no protocol:// in it")
	}
	address, u.Path, _ = strings.Cut(address, "/")
	address = address[strings.LastIndexByte(address, '@')+1:]
	u.Host = address
	if colon := strings.LastIndexByte(address, ':'); colon > strings.LastIndexByte(address, ']') {
		u.Host, u.Port = address[:colon], address[colon+1:]
	}
	u.Host = strings.Trim(u.Host, "[]")
	switch {
	case u.Protocol == "":
		return nil, errors.New("the protocol in it is empty")
	case kind == Provider && u.Host == "":
		return nil, errors.New("the provider in it has no address")
	}
	for param := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(param, "="); ok && name != "" {
			u.Params[name] = value
		}
	}
	return u, nil
}
