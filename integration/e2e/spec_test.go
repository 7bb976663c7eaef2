// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
)

// specVariable holds the spec of a child, as JSON.
const specVariable = "E2E_CHILD"

// spec says what a child is: a provider, a consumer, or both.
type spec struct {
	Name       string         // in its answers
	Registries []registrySpec // with the instance API; or else
	Config     string         // the path of a dubbogo.yaml
	Address    string         // of a provider, which serves Triple there
	Also       []endpoint     // where it serves besides
	Services   []service      // that it provides
	Delay      time.Duration  // of its answers
	References []service      // that it calls all the time
	Callers    int            // goroutines that call each reference; 0: one
	Pause      time.Duration  // between two calls of one of them; 0: 10 ms
	Home       string         // its HOME, where the cache file is; empty: one of its own
	Timeout    time.Duration  // of its requests; 0: dubbo-go's default, 3 s
	Zones      []string       // that a call asks for, one after the other until one answers; none: it asks for none
	ForceZone  bool           // only who is in that zone is called
	BuiltIn    bool           // it has dubbo-go's own registry instead of this one
	Sample     sample         // the program that it is instead (samples_child_test.go)

	Application    string // empty: Name
	User           string // of etcd, with testkit.Password; empty: none
	MetadataPort   int    // where it serves its local metadata; 0: where dubbo-go chooses
	RemoteMetadata bool   // the metadata-type is remote; else dubbo-go's default, local
	MetadataReport string // the address of etcd as a metadata report; empty: the registries are
	ConfigCenter   string // the address of etcd as a config center; empty: there is none
}

// endpoint is where a child serves a protocol.
type endpoint struct {
	Protocol wire
	Address  string
	Only     bool // of the dubbo protocol: it listens at this address, instead of at all
}

// wire is a protocol of dubbo-go.
type wire string

const (
	triple  wire = ""
	hessian wire = "dubbo" // the dubbo protocol, which has Hessian
)

// name is what dubbo-go calls the protocol.
func (w wire) name() string {
	if w == triple {
		return "tri"
	}
	return string(w)
}

type registrySpec struct {
	Address          string
	Group, Namespace string
	Session          time.Duration // 0: the registry's default
	Type             registryType
	NoReport         bool // it is no metadata report
	Zone             string
	Weight           int64
	Preferred        bool
	ZooKeeper        bool // it is dubbo-go's registry on ZooKeeper
}

// registryType is the registry-type of dubbo-go's configuration.
type registryType string

const (
	byInterface    registryType = ""          // and nothing that belongs to applications
	byInterfaceToo registryType = "interface" // and used as a metadata report, as dubbo-go has it
	byDefault      registryType = "default"   // nothing is configured but the address
	byApplication  registryType = "service"   // what byDefault is, but said
	byBoth         registryType = "all"
)

// options returns the configuration of a registry. Where a process has several,
// each has an id of its own.
func (r registrySpec) options(id string, several bool) []registry.Option {
	opts := []registry.Option{
		registry.WithEtcdV3(),
		registry.WithAddress(r.Address),
	}
	if r.ZooKeeper {
		opts[0] = registry.WithZookeeper()
	}
	if several || r.Type != byDefault {
		opts = append(opts, registry.WithID(id))
	}
	switch r.Type {
	case byInterface:
		opts = append(opts, registry.WithRegisterInterface(), registry.WithoutUseAsMetaReport(), registry.WithTimeout(2*time.Second))
	case byInterfaceToo:
		opts = append(opts, registry.WithRegisterInterface())
	case byApplication:
		opts = append(opts, registry.WithRegisterService())
	case byBoth:
		opts = append(opts, registry.WithRegisterServiceAndInterface())
	}
	if r.NoReport {
		opts = append(opts, registry.WithoutUseAsMetaReport())
	}
	if r.Group != "" {
		opts = append(opts, registry.WithGroup(r.Group))
	}
	if r.Namespace != "" {
		opts = append(opts, registry.WithNamespace(r.Namespace))
	}
	if r.Preferred {
		opts = append(opts, registry.WithPreferred())
	}
	opts = append(opts, registry.WithZone(r.Zone), registry.WithWeight(r.Weight))
	if r.Session != 0 {
		opts = append(opts, registry.WithParams(map[string]string{"session": r.Session.String()}))
	}
	return opts
}
