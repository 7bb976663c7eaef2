// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// listening is one listener, to the applications that it names.
type listening struct {
	discovery *Discovery
	listener  registry.ServiceInstancesChangedListener
	calls     delivery.Serial
	stop      chan struct{} // closed by close
	end       sync.Once
	running   sync.WaitGroup

	applications map[string]chan struct{} // a value has everything told again; guarded by Discovery.mu
}

// AddListener tells the listener of every change of the instances of the
// applications that it names: with an event that has all instances of one
// application. What has changed since GetInstances returned them is told, too;
// what has not is not told again. It returns at once.
//
// The listener is called by one goroutine at a time, and may change what it is
// given; an instance that did not change is the same object in the next event.
// Adding it again does nothing, unless it names more applications by then.
func (d *Discovery) AddListener(l registry.ServiceInstancesChangedListener) error {
	names, err := applicationsOf(l)
	if err != nil {
		return fmt.Errorf("etcdv3 service discovery: listen: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.user.Get()
	if err != nil || d.destroyed {
		return fmt.Errorf("etcdv3 service discovery: listen: %w", cluster.ErrClosed)
	}
	d.hearLocked(c)
	known := d.listening[l]
	if known == nil {
		known = &listening{discovery: d, listener: l, stop: make(chan struct{}), applications: map[string]chan struct{}{}}
		d.listening[l] = known
	}
	for _, application := range names {
		if known.applications[application] != nil {
			continue
		}
		again := make(chan struct{}, 1)
		known.applications[application] = again
		v := newView(c.Watches, d.prefix(application))
		a := d.asked[application]
		known.running.Go(func() { known.run(application, v, a, again) })
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
	for _, a := range d.asked {
		a.mixed.Store(true)
	}
	for _, l := range d.listening {
		for _, again := range l.applications {
			select {
			case again <- struct{}{}:
			default:
			}
		}
	}
}

func applicationsOf(l registry.ServiceInstancesChangedListener) ([]string, error) {
	switch {
	case l == nil:
		return nil, errors.New("there is no listener")
	case !reflect.ValueOf(l).Comparable():
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

// RemoveListener ends what AddListener began: once it has returned the listener
// is not told anything any more, unless it was called from inside an event. It
// is what Java calls removeServiceInstancesChangedListener; dubbo-go has no such
// method.
func (d *Discovery) RemoveListener(l registry.ServiceInstancesChangedListener) {
	d.mu.Lock()
	known := d.listening[l]
	delete(d.listening, l)
	d.mu.Unlock()
	if known != nil {
		known.close()
	}
}

func (l *listening) close() {
	l.end.Do(func() { close(l.stop) })
	l.calls.Close()
	if !delivery.Inside() {
		l.running.Wait()
	}
}

// run tells the listener of one application until close. What a has was
// returned to whoever listens now.
func (l *listening) run(application string, v *view, a *asked, again <-chan struct{}) {
	defer v.feed.Close()
	known := 0 // instances that the listener knows
	if a != nil {
		known = a.returned()
	}
	for first := true; ; {
		select {
		case <-l.stop:
			return
		case <-again:
			if !first && known == len(v.all) { // it was told all of them
				l.tell(application, v.instances())
			}
			continue
		case <-v.feed.Changed():
		}
		changed := v.update()
		if first {
			changed = a == nil || !a.isCurrent(v.feed.Revision()) // asked for after the view is up to date
			first = false
		}
		switch {
		case !changed:
		case l.discovery.cfg.KeepLast && len(v.all) == 0 && known > 0:
			logger.Warnf("[etcdv3] all instances of %s are gone from etcd: the last %d are kept (enable-empty-protection)", application, known)
		default:
			known = len(v.all)
			l.tell(application, v.instances())
			l.discovery.opened().save(application, v)
		}
	}
}

func (l *listening) tell(application string, instances []registry.ServiceInstance) {
	event := registry.NewServiceInstancesChangedEvent(application, instances)
	l.calls.Do("the instances of "+application, "a change", func() {
		if err := l.listener.OnEvent(event); err != nil {
			logger.Warnf("[etcdv3] a listener of the instances of %s: %v", application, err)
		}
	})
}
