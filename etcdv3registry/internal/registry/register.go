// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/governance"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// Register puts the URL's key into etcd, and keeps it there until UnRegister
// or Destroy. A provider that is registered already, with other parameters, is
// replaced in one transaction.
//
// It waits for etcd at most registry.timeout. If etcd is away it returns nil,
// logs a warning, and the key is put when etcd is back; with check=true in the
// registry's params, or in those of the service, that is an error. What etcd
// refuses (permission, credentials) is always an error. After an error what was
// registered before stays.
func (r *Registry) Register(u *common.URL) error {
	if u == nil {
		return errNoURL
	}
	start := time.Now()
	err := r.register(u)
	metrics.Publish(metricsRegistry.NewRegisterEvent(err == nil, start))
	if err != nil {
		return fmt.Errorf("etcdv3 registry: register %s: %w", describe(u), err)
	}
	return nil
}

func (r *Registry) register(u *common.URL) error {
	n, err := r.registrationOf(u)
	if err != nil {
		return err
	}
	if layout.CategoryOf(u) == layout.Providers {
		r.mu.Lock()
		origin := r.origins[governance.ExportKey(u)]
		r.mu.Unlock()
		if origin != nil { // it is exported again
			origin.ServeAgain()
		}
	}
	return r.user.Registrations.Register(n)
}

// registrationOf returns what registers a URL.
func (r *Registry) registrationOf(u *common.URL) (desired.Registration, error) {
	k, err := layout.KeyOf(r.user.Root, u)
	return desired.Registration{
		Slot: slotOf(u, k.Name), Name: describe(u), Check: r.checks(u),
		Key: desired.Key{
			Name: k.Name, Parent: k.Parent, Persistent: k.Persistent,
			Optional: layout.CategoryOf(u) == layout.Consumers, // a consumer is called by nobody
		},
	}, err
}

// checks reports whether an etcd that is away is an error to the caller: by the
// registry's params or, as in Java's FailbackRegistry, by the service's own.
func (r *Registry) checks(u *common.URL) bool {
	return r.user.Check || u.GetParamBool(constant.CheckKey, false)
}

// registerWait is a little less than registry.timeout. That is the framework's
// own limit for the registration of a consumer, after which it takes back what
// comes too late.
func registerWait(timeout time.Duration) time.Duration { return timeout * 9 / 10 }

// UnRegister deletes the URL's key, and no other: not the one that has
// replaced it. A URL that is not registered is ignored. It waits for etcd as
// Register does; if etcd is away the key is deleted when it is back, or goes
// with the lease.
func (r *Registry) UnRegister(u *common.URL) error {
	if u == nil {
		return nil // the framework's shutdown has no URL yet for a service that it is still registering
	}
	if err := r.unregister(u); err != nil {
		return fmt.Errorf("etcdv3 registry: unregister %s: %w", describe(u), err)
	}
	return nil
}

func (r *Registry) unregister(u *common.URL) error {
	n, err := r.registrationOf(u)
	if err != nil {
		return err
	}
	if layout.CategoryOf(u) == layout.Providers && r.user.Registrations.Holds(n) {
		r.mu.Lock()
		origin := r.origins[governance.ExportKey(u)]
		delete(r.origins, governance.ExportKey(u)) // if it is exported again, that is how it is without rules
		r.mu.Unlock()
		if origin != nil {
			origin.End()
		}
	}
	return r.user.Registrations.Unregister(n)
}

// describe names a URL in an error or the log: "provider com.example.Greeter
// (tri://10.0.0.7:20000)".
func describe(u *common.URL) string {
	return fmt.Sprintf("%s %s (%s://%s)", strings.TrimSuffix(layout.CategoryOf(u), "s"), u.ServiceKey(), u.Protocol, u.Address())
}

// slotOf tells what replaces what: a provider is one per protocol, address,
// service, group and version, whatever its other parameters. To an override
// group and version say whom it is for, it changes neither. Everything else
// (two references of one process to the same service, overrides) stands for
// itself.
func slotOf(u *common.URL, key string) string {
	if layout.CategoryOf(u) == layout.Providers {
		return u.Key()
	}
	return key
}
