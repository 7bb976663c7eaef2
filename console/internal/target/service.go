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
	Provides    []string      // interfaces; those that are in the code only are not known
	Refers      []string      // likewise
	Remote      bool          // metadata-type: remote
}

// DefaultSession is what a registry has that names none.
const DefaultSession = 30 * time.Second

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
		if protocol, _, ok := strings.Cut(r.Address, "://"); r.Protocol != etcdv3 && (!ok || protocol != etcdv3) {
			continue
		}
		s, err := f.service(id, r)
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

// accept has the registry itself say whether it can use its configuration. It reads
// its TLS files, and does nothing else.
func accept(r *global.RegistryConfig) error {
	params := url.Values{
		constant.RegistryGroupKey:     {r.Group},
		constant.RegistryNamespaceKey: {r.Namespace},
		constant.RegistryTimeoutKey:   {r.Timeout},
	}
	for name, value := range r.Params {
		params.Set(name, value)
	}
	u := common.NewURLWithOptions(common.WithProtocol(etcdv3), common.WithUsername(r.Username), common.WithPassword(r.Password), common.WithParams(params))
	u.Location = r.Address
	_, err := extension.GetRegistry(etcdv3, u)
	return err
}

func (f *file) service(id string, r *global.RegistryConfig) (Service, error) {
	if err := accept(r); err != nil {
		return Service{}, err
	}
	s := Service{
		Registry:    id,
		Application: f.Application.Name,
		Level:       cmp.Or(r.RegistryType, constant.RegistryTypeService),
		Session:     DefaultSession,
		Remote:      f.Application.MetadataType == constant.RemoteMetadataStorageType,
		Target: Target{
			Address:   r.Address,
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
