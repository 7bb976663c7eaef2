// SPDX-License-Identifier: Apache-2.0

// Package suite has the benchmarks of the page of figures, docs/benchmarks.md.
// Each runs on every contender: this registry, those of dubbo-go, and etcd's
// client alone, which is the floor. Since two of them take the same name, each
// is linked into a test binary of its own: packages ours, builtin, zookeeper and
// floor.
//
// A benchmark does what it measures once, or many times in a row, whatever
// -benchtime is: 1x saves the time that it asks for. What it found is in its
// metrics.
// Those of time are in nanoseconds and end in "-ns". What a contender did not do
// within [patience] is no failure: the metric "arrived" tells how often it did,
// of "wanted".
package suite

import (
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
)

// patience is how long something may take that takes milliseconds.
const patience = 10 * time.Second

// Contender is a registry and what it has behind it.
type Contender struct {
	// Name is that of the registry in dubbo-go's configuration.
	Name string
	// Start starts the server. With fsync it has on its disk what it says it has.
	Start func(t testing.TB, fsync bool) Store
	// Open makes the registry as one process has it; params are those of its
	// configuration, pairs of a name and a value.
	Open func(address string, params ...string) (Registry, error)
	// Discover is Open at the application level.
	Discover func(address string, params ...string) (Discovery, error)

	keepsNothing bool // what is lost is lost: it is not asked for it
}

// Registry is what dubbo-go uses of a registry.
type Registry interface {
	Register(*common.URL) error
	UnRegister(*common.URL) error
	// Subscribe has the listener told until Destroy. It may return before it has
	// been told anything.
	Subscribe(*common.URL, registry.NotifyListener) error
	Destroy()
}

// Discovery is what dubbo-go uses of a service discovery.
type Discovery interface {
	Register(registry.ServiceInstance) error
	Unregister(registry.ServiceInstance) error
	GetInstances(application string) []registry.ServiceInstance
	AddListener(registry.ServiceInstancesChangedListener) error
	Destroy() error
}

// Store is the server behind a registry, as another program sees it.
type Store interface {
	Address() string
	// Fill puts many keys that do not go away by themselves.
	Fill(t testing.TB, keys []string)
	Put(t testing.TB, key string)
	Delete(t testing.TB, key string)
	// Keys returns those below a path that go away with who put them.
	Keys(t testing.TB, path string) []string
	// Requests is how many messages the server has had from its clients since it
	// was started.
	Requests(t testing.TB) int
	// Kill ends the server as a crash does, Restart starts it with the data that
	// it had, and returns when it serves.
	Kill()
	Restart()
}

// Revoker is a Store in which an operator can end all sessions.
type Revoker interface{ RevokeAll(t testing.TB) }

// Observer is a Store that tells of each key when it went and came back.
type Observer interface {
	// Observe notes what happens below a path from now on, until the benchmark ends.
	Observe(t testing.TB, path string) *returns
}
