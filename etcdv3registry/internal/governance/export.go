// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// IsExport reports whether a listener is the framework's for the overrides of
// a provider, which it does not export.
func IsExport(u *common.URL, l registry.NotifyListener) bool {
	t := reflect.TypeOf(l)
	return u.Protocol == constant.ProviderProtocol && t != nil && t.Kind() == reflect.Pointer &&
		t.Elem().PkgPath() == "dubbo.apache.org/dubbo-go/v3/registry/protocol"
}

// export tells the framework's provider about rules, in the way in which it
// understands them. It applies the one that it was told of last to what it
// exports, exports that, and forgets what it was before: so it never returns to
// that, and of two rules each has it export again, for ever. Here all of them are
// made one: what has to be written over what is exported now for it to be as all
// rules want it, and otherwise as it was exported first.
type export struct {
	registry.NotifyListener
	url    *common.URL // as it is exported now
	origin *Origin
}

// Origin is what a provider would export if there were no rules. It outlives a
// subscription: the framework subscribes again with everything it exports.
type Origin struct {
	mu         sync.Mutex        // guards what follows
	first      map[string]string // as it was exported first
	params     map[string]string
	overridden map[string]bool            // names of parameters; what is exported says nothing about params here
	url        *common.URL                // as it was exported last
	served     map[string]*common.Service // who serves it, by the protocol
}

// ExportKey tells providers apart, whether they are registered or subscribe.
func ExportKey(u *common.URL) string { return u.Ip + ":" + u.Port + "/" + u.ServiceKey() }

// NewExport returns who is to be told in place of a provider, which is exported as
// a URL; o is what is known of it since it was exported first.
func NewExport(u *common.URL, l registry.NotifyListener, o *Origin) registry.NotifyListener {
	params := paramsOf(u)
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.overridden {
		params[name] = o.params[name]
	}
	if o.first == nil {
		o.first = params
	}
	o.params = params
	o.url = u
	if served := servedNow(u); len(served) > 0 {
		o.served = served
	}
	return &export{NotifyListener: l, url: u, origin: o}
}

// Restore has parameters be again what they were at first: what has set them
// since has gone, or sets them again.
func (o *Origin) Restore(names []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.params = maps.Clone(o.params)
	if o.overridden == nil {
		o.overridden = map[string]bool{}
	}
	for _, name := range names {
		if !slices.Contains(aboutRule, name) {
			o.params[name] = o.first[name]
			o.overridden[name] = true
		}
	}
}

// ServeAgain has those known again who serve what is exported. It is to be called
// when the framework may have exported it again.
func (o *Origin) ServeAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	serveAgain(o.url, o.served)
}

// End says that it is not exported any more.
func (o *Origin) End() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.served = nil
}

func paramsOf(u *common.URL) map[string]string {
	params := map[string]string{}
	u.RangeParams(func(name, value string) bool {
		params[name] = value
		return true
	})
	return params
}

// Notify is called after a list that the provider panicked over.
func (e *export) Notify(*registry.ServiceEvent) {}

// NotifyAll tells the provider about all rules there are.
func (e *export) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	var urls []*common.URL
	for _, event := range events {
		urls = append(urls, event.Service)
	}
	if changes := e.origin.changes(e.url, rulesOf(urls)); len(changes) > 0 {
		e.NotifyListener.Notify(added(e.ruleFor(changes)))
	}
	e.origin.ServeAgain() // a config center may have had it exported again, too
}

// forgetful are the protocols that forget who serves a service when it is not
// exported any more. The framework, which exports it again, has it known again only
// if it stands in a configuration file.
var forgetful = []string{constant.DefaultProtocol, "jsonrpc"}

// servedNow returns who serves a service, by the protocol.
func servedNow(u *common.URL) map[string]*common.Service {
	served := map[string]*common.Service{}
	for _, protocol := range forgetful {
		if s := common.ServiceMap.GetServiceByServiceKey(protocol, u.ServiceKey()); s != nil {
			served[protocol] = s
		}
	}
	return served
}

// serveAgain has those known again who have been forgotten.
func serveAgain(u *common.URL, served map[string]*common.Service) {
	for protocol, s := range served {
		if common.ServiceMap.GetServiceByServiceKey(protocol, u.ServiceKey()) != nil {
			continue
		}
		_, err := common.ServiceMap.Register(u.Service(), protocol, u.GetParam(constant.GroupKey, ""), u.GetParam(constant.VersionKey, ""), s.Service().Interface())
		if err != nil {
			logger.Errorf("[etcdv3] %s cannot be served over %s any more, since an override was applied: %v", sane.Quote(u.ServiceKey()), protocol, err)
		}
	}
}

// changes returns what the rules have to write over what is exported.
func (o *Origin) changes(exported *common.URL, rules []rule) map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	self := side{name: constant.ProviderProtocol, application: o.params[constant.ApplicationKey]}
	want, overridden := maps.Clone(o.params), map[string]bool{}
	for _, r := range rules {
		if r.isFor(self) && r.isAbout(exported, func(name string) string { return o.params[name] }) {
			for name := range r.override(want) {
				overridden[name] = true
			}
		}
	}
	maps.Copy(overridden, o.overridden)
	changes := map[string]string{}
	for name := range overridden {
		if exported.GetParam(name, "") != want[name] {
			changes[name] = want[name]
		} else if want[name] == o.params[name] { // it is as it was
			delete(overridden, name)
		}
	}
	o.overridden = overridden
	return changes
}

// ruleFor is a rule that the provider takes for its own.
func (e *export) ruleFor(changes map[string]string) *common.URL {
	u := common.NewURLWithOptions(common.WithProtocol(constant.OverrideProtocol), common.WithIp(constant.AnyHostValue), common.WithPort("0"), common.WithPath(e.url.Service()))
	for name, value := range changes {
		u.SetParam(name, value)
	}
	u.SetParam(constant.CategoryKey, layout.Configurators)
	for _, name := range []string{constant.InterfaceKey, constant.GroupKey, constant.VersionKey, constant.ClassifierKey} {
		u.SetParam(name, e.url.GetParam(name, ""))
	}
	return u
}
