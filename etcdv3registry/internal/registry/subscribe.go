// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/global"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/governance"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// subscriptionID tells subscriptions apart: by the listener, and by those
// parts of the URL that decide what it hears.
type subscriptionID struct {
	query    string
	listener framework.NotifyListener
}

// subscribed is a subscription and what it has in the cache file, if anything.
type subscribed struct {
	*listener.Subscription
	cluster    *cluster.Cluster
	cached     *cachedList
	governed   bool                   // the listener is a provider or a reference of the framework
	attendance *governance.Attendance // to a reference; nil: nobody attends
	consumer   desired.Registration   // of a reference of the framework; without a slot: of another listener
}

func (s subscribed) close() {
	s.Close()
	s.attendance.Close()
	s.cached.end()
}

// LoadSubscribeInstances delivers what the URL asks for, as of now, in one
// NotifyAll before it returns. The Subscribe that follows goes on from there.
//
// It waits for etcd at most registry.timeout. If etcd is away it delivers what
// the local cache file has, or logs a warning if that has nothing, and returns
// nil; what etcd has is delivered after Subscribe, when etcd is back.
// With check=true in the registry's params, or in those of the reference, that
// is an error; what etcd refuses (permission, credentials) is one without, too, but
// for a process that has other registries: the framework would panic over it, and
// their providers can be called.
func (r *Registry) LoadSubscribeInstances(u *common.URL, l framework.NotifyListener) error {
	if u == nil {
		return errNoURL
	}
	s, isNew, err := r.subscription(u, l, true)
	if err != nil {
		return fmt.Errorf("etcdv3 registry: load %s: %w", u.ServiceKey(), err)
	}
	ctx, cancel := s.cluster.Waiting(r.user.Timeout)
	defer cancel()
	err = s.Load(ctx)
	switch {
	case err == nil:
		return nil
	case retry.CanPass(err) && !r.checks(u) && s.LoadCached():
		return nil
	case retry.CanPass(err) && !r.checks(u):
		logger.Warnf("[etcdv3] there are no providers of %s yet: etcd at %v has not answered, the list follows when it does: %v",
			u.ServiceKey(), r.user.Cluster.Endpoints, err)
		return nil
	case !r.checks(u) && hasOtherRegistries(u):
		logger.Errorf("[etcdv3] etcd at %v refuses to say who provides %s, the providers of the other registries are called: %v",
			r.user.Cluster.Endpoints, u.ServiceKey(), err)
		return nil
	default:
		if isNew { // the caller, told no, will not unsubscribe
			_ = r.UnSubscribe(u, l)
		}
		return fmt.Errorf("etcdv3 registry: load %s from etcd at %v: %w", u.ServiceKey(), r.user.Cluster.Endpoints, err)
	}
}

// hasOtherRegistries says whether more than one registry is configured where the
// reference comes from.
func hasOtherRegistries(u *common.URL) bool {
	configured, _ := u.GetAttribute(constant.RegistriesConfigKey)
	registries, _ := configured.(map[string]*global.RegistryConfig)
	return len(registries) > 1
}

// Subscribe tells the listener what the URL asks for, and every change of it,
// until UnSubscribe or Destroy. It returns at once; while etcd is away the
// listener keeps what it was told. The listener is called from one goroutine
// at a time. Subscribing again does nothing.
func (r *Registry) Subscribe(u *common.URL, l framework.NotifyListener) error {
	if u == nil {
		return errNoURL
	}
	s, _, err := r.subscription(u, l, false)
	metrics.Publish(metricsRegistry.NewSubscribeEvent(err == nil))
	if err != nil {
		return fmt.Errorf("etcdv3 registry: subscribe to %s: %w", u.ServiceKey(), err)
	}
	s.Start(r.user.Timeout)
	return nil
}

// UnSubscribe ends one subscription: that of this listener to this URL. When
// it has returned the listener is not called any more, unless UnSubscribe was
// called from inside a notification, which then ends by itself. What is not
// subscribed is ignored.
func (r *Registry) UnSubscribe(u *common.URL, l framework.NotifyListener) error {
	if u == nil {
		return errNoURL
	}
	id, err := idOf(queryOf(u, l), l)
	if err != nil {
		return fmt.Errorf("etcdv3 registry: unsubscribe from %s: %w", u.ServiceKey(), err)
	}
	r.mu.Lock()
	s := r.subscriptions[id]
	delete(r.subscriptions, id)
	last := s.Subscription != nil && r.leaveLocked(s.consumer)
	r.mu.Unlock()
	if last {
		r.user.Registrations.Forget(s.consumer)
	}
	if s.Subscription != nil {
		s.close()
	}
	return nil
}

// consumerOf returns the registration of a reference that is subscribed to a URL:
// dubbo-go v3.3.2 registers it under another address (getConsumerUrlToRegistry of its
// registry/directory), and never takes that back. It has no slot for another listener.
func (r *Registry) consumerOf(u *common.URL, l framework.NotifyListener) (n desired.Registration) {
	if !governance.IsReference(l) {
		return n
	}
	registered := u.Clone()
	registered.Ip = cmp.Or(os.Getenv(constant.DubboIpToRegistryKey), common.GetLocalIp())
	registered.Port = cmp.Or(os.Getenv(constant.DubboPortToRegistryKey), registered.Port)
	if layout.CategoryOf(registered) != layout.Consumers {
		return n
	}
	n, _ = r.registrationOf(registered)
	return n
}

// leaveLocked notes that a reference is gone, and reports whether it was the last one
// of its registration: two that are the same share it.
func (r *Registry) leaveLocked(n desired.Registration) bool {
	if n.Slot == "" {
		return false
	}
	r.consumers[n.Slot]--
	if r.consumers[n.Slot] > 0 {
		return false
	}
	delete(r.consumers, n.Slot)
	return true
}

// subscription returns the one subscription of this listener to this URL, and
// whether it had to be made. loads says that the framework loads what there is: then it
// is making the listener.
func (r *Registry) subscription(u *common.URL, l framework.NotifyListener, loads bool) (s subscribed, isNew bool, err error) {
	q := queryOf(u, l)
	id, err := idOf(q, l)
	if err != nil {
		return s, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.user.Get()
	if err != nil {
		return s, false, err
	}
	if known, ok := r.subscriptions[id]; ok {
		return known, false, nil
	}
	if r.deaf == nil {
		r.deaf = c.OnOverrides(r.overridesChanged)
		r.cache = openCache(r.user, layout.ApplicationOf(u, r.GetURL()))
	}
	view, cached := q.view(r.user.Root), r.cache.list(u, q)
	if cached != nil {
		view.Cache = cached
	}
	if r.user.KeepLast && q.service != constant.AnyValue {
		view.KeepLast = func(key string) bool {
			category, _, _ := layout.Split(r.user.Root, key)
			return category == layout.Providers
		}
	}
	if governance.IsReference(l) && q.service != constant.AnyValue {
		view.Unmatched = (&unmatched{query: q, root: r.user.Root}).look
	}
	told, attendance := r.adaptLocked(u, l, &view, loads)
	s = subscribed{c.Watches.Subscribe(q.prefixes(r.user.Root), view, told), c, cached, view.Whole != nil, attendance, r.consumerOf(u, l)}
	attendance.Start(s.TellAgain)
	if s.consumer.Slot != "" {
		r.consumers[s.consumer.Slot]++
	}
	r.subscriptions[id] = s
	return s, true, nil
}

// adaptLocked returns who is told in place of a listener of the framework, or
// dubbo-admin's, that expects more or understands less than what a View says.
func (r *Registry) adaptLocked(u *common.URL, l framework.NotifyListener, view *listener.View, loads bool) (framework.NotifyListener, *governance.Attendance) {
	switch {
	case governance.IsReference(l):
		view.Whole = governance.IsConfigurator
		return governance.NewReference(u, l, loads)
	case governance.IsExport(u, l):
		view.Whole = governance.IsConfigurator
		key := governance.ExportKey(u)
		if r.origins[key] == nil {
			r.origins[key] = &governance.Origin{}
		}
		return governance.NewExport(u, l, r.origins[key]), nil
	case governance.IsAdmin(u, l):
		return governance.NewAdmin(r.user.Root, u, l, view.Read), nil
	default:
		return l, nil
	}
}

func idOf(q query, l framework.NotifyListener) (subscriptionID, error) {
	switch {
	case q.service == "":
		return subscriptionID{}, errors.New("the URL names no service: it has neither an interface parameter nor a path")
	case l == nil:
		return subscriptionID{}, errors.New("there is no listener")
	case !reflect.ValueOf(l).Comparable():
		return subscriptionID{}, fmt.Errorf("the listener is a %T, which cannot be compared and so not be unsubscribed: use a pointer", l)
	}
	return subscriptionID{query: fmt.Sprintf("%#v", q), listener: l}, nil
}
