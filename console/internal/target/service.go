// SPDX-License-Identifier: Apache-2.0

package target

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/global"
	"github.com/knadh/koanf"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// Service is what the configuration of a service says of one of its registries.
type Service struct {
	Target
	Registry    string // its name in the configuration
	Application string
	Level       string        // registry-type: service, interface or all
	Session     time.Duration // the TTL of its lease
	Requests    time.Duration // how long one may take; zero: DefaultTimeout
	Provides    []string      // interfaces; those that are in the code only are not known
	Refers      []string      // likewise
	Remote      bool          // metadata-type: remote
}

// What a registry has that names neither.
const (
	DefaultSession = 30 * time.Second
	DefaultTimeout = 5 * time.Second
)

// etcdv3 is the protocol of the registries that are meant.
const etcdv3 = etcdv3registry.Protocol

// file is what of a configuration is of interest here.
type file struct {
	Application global.ApplicationConfig          `yaml:"application"`
	Registries  map[string]*global.RegistryConfig `yaml:"registries"`
	Provider    global.ProviderConfig             `yaml:"provider"`
	Consumer    global.ConsumerConfig             `yaml:"consumer"`
}

// Load reads the configuration of a service as dubbo-go does, with its profiles and
// placeholders. It returns the registries on etcd, at least one.
func Load(path string) (services []Service, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	defer func() { // dubbo-go has no errors here
		if p := recover(); p != nil {
			err = fmt.Errorf("%s cannot be read as dubbo-go does: %v", path, p)
		}
	}()
	loader := dubbo.NewLoaderConf(dubbo.WithPath(path))
	content := loader.MergeConfig(dubbo.GetConfigResolver(loader))
	var f file
	if err := content.UnmarshalWithConf("dubbo", &f, koanf.UnmarshalConf{Tag: "yaml"}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, id := range slices.Sorted(maps.Keys(f.Registries)) {
		r := f.Registries[id]
		name, address, err := taken(r)
		if r.Protocol != etcdv3 && name != etcdv3 {
			continue
		}
		if strings.Contains(r.Address, "@") {
			err = accept(r, r.Address) // says so without quoting it
		}
		var s Service
		if err == nil {
			s, err = f.service(id, r, address)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: dubbo.registries.%s: %w", path, id, err)
		}
		services = append(services, s)
	}
	if len(services) == 0 {
		return nil, fmt.Errorf("%s: no entry of dubbo.registries has protocol: %s", path, etcdv3)
	}
	return services, nil
}

// errScheme is of an address that dubbo-go makes something else of than was meant.
var errScheme = errors.New("write host:port without a scheme, several separated by commas; for TLS set ca-cert-file or tls-server-name")

// taken is what dubbo-go makes of the protocol and the address of a registry: it reads
// an address with :// in it as one URL, whatever else is in it, and reads it again if
// there is still one in what it makes of it.
func taken(r *global.RegistryConfig) (name, address string, err error) {
	if !strings.Contains(r.Address, "://") {
		return r.Protocol, r.Address, nil
	}
	u, err := url.Parse(r.Address)
	if err != nil {
		if protocol, _, _ := strings.Cut(r.Address, "://"); protocol == etcdv3 {
			name = etcdv3
		}
		return name, "", fmt.Errorf("dubbo-go reads an address with :// in it as one URL, which it is not: %w", errScheme)
	}
	if address = u.Host + u.Path; address == "" || strings.Contains(address, "://") {
		return u.Scheme, "", fmt.Errorf("dubbo-go reads an address with :// in it as one URL, and finds no etcd in it: %w", errScheme)
	}
	if u.Scheme != etcdv3 {
		return u.Scheme, "", fmt.Errorf("dubbo-go takes %q, which is before the ://, for the name of the registry, and a service ends as it starts if there is none: %w", u.Scheme, errScheme)
	}
	return u.Scheme, address, nil
}

// accept has the registry itself say whether it can use its configuration. It reads
// its TLS files, and does nothing else.
func accept(r *global.RegistryConfig, address string) error {
	params := url.Values{
		constant.RegistryGroupKey:     {r.Group},
		constant.RegistryNamespaceKey: {r.Namespace},
	}
	for name, value := range r.Params {
		params.Set(name, value)
	}
	params.Set(constant.RegistryTimeoutKey, timeoutOf(r)) // the field has precedence
	u := common.NewURLWithOptions(common.WithProtocol(etcdv3), common.WithUsername(r.Username), common.WithPassword(r.Password), common.WithParams(params))
	u.Location = address
	_, err := extension.GetRegistry(etcdv3, u)
	return err
}

// timeoutOf is as it is written, or dubbo-go's default.
func timeoutOf(r *global.RegistryConfig) string { return cmp.Or(r.Timeout, DefaultTimeout.String()) }

func (f *file) service(id string, r *global.RegistryConfig, address string) (Service, error) {
	if err := accept(r, address); err != nil {
		return Service{}, err
	}
	s := Service{
		Registry:    id,
		Application: f.Application.Name,
		Level:       cmp.Or(r.RegistryType, constant.RegistryTypeService),
		Session:     DefaultSession,
		Requests:    duration(timeoutOf(r)),
		Remote:      f.Application.MetadataType == constant.RemoteMetadataStorageType,
		Target: Target{
			Address:   address,
			Group:     cmp.Or(strings.Trim(r.Group, "/"), "dubbo"),
			Namespace: strings.Trim(r.Namespace, "/"),
			Username:  r.Username,
			Password:  r.Password,
			Timeout:   2 * time.Second,
		},
	}
	s.TLS.TrustedCAFile, s.TLS.CertFile = r.Params["ca-cert-file"], r.Params["tls-cert-file"]
	s.TLS.KeyFile, s.TLS.ServerName = r.Params["tls-key-file"], r.Params["tls-server-name"]
	if session := r.Params["session"]; session != "" {
		s.Session = duration(session)
	}
	if name := r.Params["password-env"]; name != "" {
		s.Password = os.Getenv(name)
	}
	if name := r.Params["password-file"]; name != "" {
		content, err := os.ReadFile(name)
		if err != nil {
			return Service{}, errors.New("password-file: " + err.Error())
		}
		s.Password = strings.TrimRight(string(content), "\r\n")
	}
	for _, service := range f.Provider.Services {
		s.Provides = append(s.Provides, service.Interface)
	}
	for _, reference := range f.Consumer.References {
		s.Refers = append(s.Refers, reference.InterfaceName)
	}
	s.Provides, s.Refers = named(s.Provides), named(s.Refers)
	return s, nil
}

// named are the interfaces of which the configuration has the name.
func named(interfaces []string) []string {
	slices.Sort(interfaces)
	return slices.DeleteFunc(slices.Compact(interfaces), func(name string) bool { return name == "" })
}

// duration reads what the registry has accepted: a duration, or milliseconds.
func duration(s string) time.Duration {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(ms) * time.Millisecond
	}
	d, _ := time.ParseDuration(s)
	return d
}
