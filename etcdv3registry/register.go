// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"fmt"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/lease"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
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
	key, err := keyOf(r.settings.root(), u)
	if err != nil {
		return err
	}
	slot := slotOf(u, key)
	change, err := r.want(slot, key)
	if err != nil {
		return err
	}
	ctx, cancel := r.cluster.Waiting(registerWait(r.settings.timeout))
	defer cancel()
	switch err = change.Wait(ctx); {
	case err == nil:
		r.accept(slot, key)
		return nil
	case retry.CanPass(err) && !r.checks(u):
		r.accept(slot, key)
		logger.Warnf("[etcdv3] %s is not registered yet, it will be as soon as etcd at %v takes it: %v", describe(u), r.settings.cluster.Endpoints, err)
		return nil
	default:
		r.undo(slot, key)
		return err
	}
}

// accept notes that the framework was told of no error.
func (r *Registry) accept(slot string, key lease.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, ok := r.registered[slot]; ok && now.Name == key.Name {
		r.accepted[slot] = now
	}
}

// undo restores what was accepted last, unless the slot was taken by another key
// meanwhile.
func (r *Registry) undo(slot string, key lease.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, ok := r.registered[slot]; !ok || now.Name != key.Name {
		return
	}
	if before, ok := r.accepted[slot]; ok {
		r.registered[slot] = before
		r.cluster.Lease.Replace(key.Name, before)
		return
	}
	delete(r.registered, slot)
	r.cluster.Lease.Delete(key.Name)
}

// checks reports whether an etcd that is away is an error to the caller: by the
// registry's params or, as in Java's FailbackRegistry, by the service's own.
func (r *Registry) checks(u *common.URL) bool {
	return r.settings.check || u.GetParamBool(constant.CheckKey, false)
}

// registerWait is a little less than registry.timeout. That is the framework's
// own limit for the registration of a consumer, after which it takes back what
// comes too late.
func registerWait(timeout time.Duration) time.Duration { return timeout * 9 / 10 }

// want notes the key as registered and starts the change that makes it so.
func (r *Registry) want(slot string, key lease.Key) (*lease.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.useLocked()
	if err != nil {
		return nil, err
	}
	old, registered := r.registered[slot]
	if registered {
		// It stays with or without a lease, as it was registered first: the
		// framework merges the dynamic=false of a rule, which is about the rule,
		// into the provider.
		key.Persistent = old.Persistent
	}
	r.registered[slot] = key
	if !registered {
		return c.Lease.Put(key), nil
	}
	return c.Lease.Replace(old.Name, key), nil // if it is the same key, nothing is written
}

// unwant takes back what want noted, unless the slot has been taken by another
// key since.
func (r *Registry) unwant(slot string, key lease.Key) *lease.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.registered[slot].Name != key.Name {
		return nil
	}
	delete(r.registered, slot)
	delete(r.accepted, slot)
	return r.cluster.Lease.Delete(key.Name)
}

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
	key, err := keyOf(r.settings.root(), u)
	if err != nil {
		return err
	}
	change := r.unwant(slotOf(u, key), key)
	if change == nil {
		return nil
	}
	if categoryOf(u) == providers {
		r.mu.Lock()
		delete(r.origins, exportKey(u)) // if it is exported again, that is how it is without rules
		r.mu.Unlock()
	}
	ctx, cancel := r.cluster.Waiting(registerWait(r.settings.timeout))
	defer cancel()
	if err = change.Wait(ctx); err != nil && retry.CanPass(err) && !r.checks(u) {
		logger.Warnf("[etcdv3] %s is still registered, it will not be as soon as etcd at %v takes that: %v", describe(u), r.settings.cluster.Endpoints, err)
		return nil
	}
	return err
}

// describe names a URL in an error or the log: "provider com.example.Greeter
// (tri://10.0.0.7:20000)".
func describe(u *common.URL) string {
	return fmt.Sprintf("%s %s (%s://%s)", strings.TrimSuffix(categoryOf(u), "s"), u.ServiceKey(), u.Protocol, u.Address())
}

// slotOf tells what replaces what: a provider is one per protocol, address,
// service, group and version, whatever its other parameters. To an override
// group and version say whom it is for, it changes neither. Everything else
// (two references of one process to the same service, overrides) stands for
// itself.
func slotOf(u *common.URL, key lease.Key) string {
	if categoryOf(u) == providers {
		return u.Key()
	}
	return key.Name
}
