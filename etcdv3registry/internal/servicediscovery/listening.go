// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	framework "dubbo.apache.org/dubbo-go/v3/registry/servicediscovery"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

// listening is one listener, to the applications that it names.
type listening struct {
	discovery    *Discovery
	listener     registry.ServiceInstancesChangedListener
	calls        delivery.Serial
	applications map[string]*hearing // guarded by Discovery.mu
	ended        bool                // nobody adds to them any more; likewise
}

// hearing is what a listener hears of one application.
type hearing struct {
	*listening
	*delivery.Worker
	application string
	view        *view
	snapshot    *snapshot // what was returned to whoever listens now; nil: nothing
	known       int       // instances that the listener knows
}

// AddListener tells the listener of every change of the instances of the
// applications that it names: with an event that has all instances of one
// application. What has changed since GetInstances returned them is told, too;
// what has not is not told again. It returns at once.
//
// The listener is called by one goroutine at a time. It may change what it is
// given; an instance that did not change is the same object in the next event. No
// two of dubbo-go's own in the process are told of one application at the same
// moment. Such a one leaves out an instance of which it cannot have the metadata, and
// does not say so: it is told the same again until it has it.
//
// Adding it again does nothing, unless it names more applications by then.
func (d *Discovery) AddListener(l registry.ServiceInstancesChangedListener) error {
	names, err := applicationsOf(l)
	if err != nil {
		return fmt.Errorf("etcdv3 service discovery: listen: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil {
		return fmt.Errorf("etcdv3 service discovery: listen: %w", extension.ErrClosed)
	}
	d.hearLocked(c)
	known := d.listening[l]
	if known == nil || known.ended {
		known = &listening{discovery: d, listener: l, applications: map[string]*hearing{}}
		d.listening[l] = known
	}
	for _, application := range names {
		if known.applications[application] == nil {
			h := &hearing{listening: known, application: application, view: newView(c.Watches, d.prefix(application)), snapshot: d.snapshots[application]}
			h.Worker = delivery.NewWorker(h.view.feed, delivery.Reader{
				Name: nameInLog(application), Update: h.update, Again: h.again, Retry: againAfter(),
			})
			if h.snapshot != nil {
				h.known = h.snapshot.count
			}
			known.applications[application] = h
			h.Start(0)
		}
	}
	return nil
}

// hearLocked has what is told be told again when overrides change.
func (d *Discovery) hearLocked(c *cluster.Cluster) {
	if d.deaf == nil {
		d.deaf = c.OnOverrides(func([]string) { d.tellAgain() })
	}
}

// tellAgain has all listeners told again what there is: the framework applies
// the overrides of a config center to what it is told next. Those who have asked
// and do not listen yet are told when they do.
func (d *Discovery) tellAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.snapshots {
		a.mixed = true
	}
	for _, l := range d.listening {
		for _, h := range l.applications {
			h.Again()
		}
	}
}

func applicationsOf(l registry.ServiceInstancesChangedListener) ([]string, error) {
	switch {
	case l == nil:
		return nil, errors.New("there is no listener")
	case !canBeCompared(l):
		return nil, fmt.Errorf("the listener is a %T, which cannot be compared and so not be removed: use a pointer", l)
	case l.GetServiceNames() == nil || l.GetServiceNames().Empty():
		return nil, errors.New("the listener names no application")
	}
	var names []string
	for _, v := range l.GetServiceNames().Values() {
		if name, ok := v.(string); ok && name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// canBeCompared reports whether a listener can be the key of a map.
func canBeCompared(l registry.ServiceInstancesChangedListener) bool {
	return reflect.ValueOf(l).Comparable()
}

// RemoveListener ends what AddListener began: once it has returned the listener
// is not told anything any more, unless it was called from inside an event. It
// is what Java calls removeServiceInstancesChangedListener; dubbo-go has no such
// method. Of a listener that was not added there is nothing to end.
func (d *Discovery) RemoveListener(l registry.ServiceInstancesChangedListener) {
	if l == nil || !canBeCompared(l) { // AddListener has refused it
		return
	}
	d.mu.Lock()
	known := d.listening[l]
	if known != nil {
		known.ended = true
	}
	d.mu.Unlock()
	if known == nil {
		return
	}
	known.close() // and only then is it gone: whoever else removes it has to wait, too
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listening[l] == known {
		delete(d.listening, l)
	}
}

// close is for one that has ended.
func (l *listening) close() {
	l.calls.Close()
	for _, h := range l.applications {
		h.Close()
	}
}

// update tells the listener of what has changed, and at first of what it was not
// returned.
func (h *hearing) update() {
	_, changed := h.view.update()
	if !h.Delivered() {
		changed = h.snapshot == nil || !h.discovery.isCurrent(h.snapshot, h.view.feed.Revision()) || h.asks() // asked for after the view is up to date
	}
	switch {
	case !changed:
	case h.discovery.user.KeepLast && len(h.view.all) == 0 && h.known > 0:
		logger.Warnf("[etcdv3] all instances of %s are gone from etcd: the last %d are kept (enable-empty-protection)", h.application, h.known)
	default:
		h.known = len(h.view.all)
		h.tell()
		h.discovery.save(h.application, h.view)
	}
}

// again tells the listener what it knows, unless it keeps what there was last.
func (h *hearing) again() {
	if h.known == len(h.view.all) {
		h.tell()
	}
}

func (h *hearing) tell() {
	instances := h.view.instances()
	if h.asks() { // what it asks and connects with is shared; another one may be slow
		release, ok := Turn(h.view.feed.Context(), h.application)
		if !ok {
			return
		}
		defer release()
	}
	event := registry.NewServiceInstancesChangedEvent(h.application, instances)
	h.calls.Do(nameInLog(h.application), "a change", func() {
		if err := h.listener.OnEvent(event); err != nil {
			logger.Warnf("[etcdv3] a listener of the instances of %s: %v", h.application, err)
		}
	})
	h.Lacks(h.asks() && slices.ContainsFunc(instances, lacksMetadata))
}

func nameInLog(application string) string { return "the instances of " + application }

// asks reports whether the listener is the framework's own, which asks for the
// metadata of what it is told.
func (l *listening) asks() bool {
	_, ok := l.listener.(*framework.ServiceInstancesChangedListenerImpl)
	return ok
}

func lacksMetadata(i registry.ServiceInstance) bool {
	revision := i.GetMetadata()[constant.ExportedServicesRevisionPropertyName]
	return revision != "" && revision != noRevision && i.GetServiceMetadata() == nil
}

// What the framework makes of an address, clients and connections, is shared by
// the whole process, and not made for two who begin at the same moment: one closes
// what the other is just opening. So these are of the process, too.
var (
	exchanges    delivery.Turns // who asks for metadata, by the address that is asked
	applications delivery.Turns // who tells of instances, by application
)

// Turn waits until nobody else in this process is being told of the instances of
// these applications, and returns what ends that; ok is false if ctx ended first.
func Turn(ctx context.Context, names ...string) (release func(), ok bool) {
	return applications.Take(ctx, names...)
}
