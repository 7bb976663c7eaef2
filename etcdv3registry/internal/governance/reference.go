// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
)

// IsReference reports whether a listener is the framework's reference to a
// service: a directory of invokers.
func IsReference(l registry.NotifyListener) bool {
	_, ok := l.(directory.Directory)
	return ok
}

// reference tells the framework's directory about providers and rules, in the
// way in which it understands them:
//
//   - a single rule that it is told of is added to those it has, never changed or
//     removed, so rules come with the list of everything only;
//   - a list without rules leaves those it has, so the end of the last one is told
//     by a URL of the protocol empty;
//   - a list without providers leaves those that it was told of in the list before,
//     so the end of the last provider is a list of nothing;
//   - it compares what a rule says about consumers with the provider, so the rules
//     that are for others are left out, and the others say nothing about consumers;
//   - it does not know disabled, so a provider that is disabled is left out;
//   - it does not know routers, and takes one for another provider.
type reference struct {
	registry.NotifyListener // the directory
	url                     *common.URL
	side                    side
	rules                   []rule // that are for this consumer
	told                    bool   // of a rule
	attendance              *Attendance
}

// NewReference returns who is to be told in place of a reference, which is
// subscribed to a URL; and, if it is being made, who attends to it, if that can be done.
func NewReference(u *common.URL, l registry.NotifyListener, made bool) (registry.NotifyListener, *Attendance) {
	r := &reference{NotifyListener: l, url: u, side: side{
		name:        constant.Consumer,
		host:        cmp.Or(os.Getenv(constant.DubboIpToRegistryKey), common.GetLocalIp()), // with which the framework registers it
		application: u.GetParam(constant.ApplicationKey, u.Username),
	}}
	if made {
		r.attendance = attend(u, l)
	}
	return r, r.attendance
}

// Notify tells the directory about a provider.
func (r *reference) Notify(e *registry.ServiceEvent) {
	switch {
	case !isProvider(e.Service):
		return
	case e.Action != remoting.EventTypeDel && r.isDisabled(e.Service):
		e.Action = remoting.EventTypeDel
	}
	if e.Action == remoting.EventTypeDel {
		r.attendance.forgets(e)
	} else {
		r.attendance.tells(e)
	}
	r.NotifyListener.Notify(ofConsumer(e))
}

// ofConsumer takes from a provider that it is one. To the framework a provider's
// parameters count more than those of the consumer, and what the two make together
// would be a provider to overrides: of those for consumers it would take no notice.
func ofConsumer(e *registry.ServiceEvent) *registry.ServiceEvent {
	e.Service.DelParam(constant.SideKey)
	return e
}

// NotifyAll tells the directory about everything there is.
func (r *reference) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	defer measure.ListTold(time.Now())
	var urls []*common.URL
	for _, e := range events {
		urls = append(urls, e.Service)
	}
	r.rules = nil
	var rules, all []*registry.ServiceEvent
	for _, rule := range rulesOf(urls) {
		if rule.isFor(r.side) && rule.Protocol != absentProtocol { // the directory would take it for an override
			r.rules = append(r.rules, rule)
			rules = append(rules, added(r.adapted(rule)))
		}
	}
	if len(rules) == 0 && r.told {
		rules = append(rules, added(noRules(r.url)))
	}
	r.told = len(r.rules) > 0
	for _, e := range events {
		if isProvider(e.Service) && !r.isDisabled(e.Service) {
			all = append(all, ofConsumer(e))
		}
	}
	r.attendance.tellsAll(all)
	if len(all) == 0 {
		r.NotifyListener.NotifyAll(nil, func() {})
	}
	if all = append(rules, all...); len(all) > 0 {
		r.NotifyListener.NotifyAll(all, func() {})
	}
}

// IsConfigurator reports whether a URL is a rule.
func IsConfigurator(u *common.URL) bool {
	return u.GetParam(constant.CategoryKey, constant.DefaultCategory) == layout.Configurators
}

func isProvider(u *common.URL) bool {
	return u.GetParam(constant.CategoryKey, constant.DefaultCategory) == layout.Providers && u.Protocol != constant.EmptyProtocol
}

// isDisabled reports whether a provider is not to be called, by the rules or,
// where they say nothing, by itself.
func (r *reference) isDisabled(provider *common.URL) bool {
	param := func(name string) string { return provider.GetParam(name, r.url.GetParam(name, "")) }
	disabled := provider.GetParamBool(disabledKey, false)
	for _, rule := range r.rules {
		if rule.GetParam(disabledKey, "") != "" && rule.isAbout(provider, param) && r.isOfItsGroup(rule, provider) {
			disabled = rule.GetParamBool(disabledKey, false)
		}
	}
	return disabled
}

// isOfItsGroup reports whether a provider has the group and the version of a
// rule. It need not where the reference is to several of them.
func (r *reference) isOfItsGroup(rule rule, provider *common.URL) bool {
	for _, name := range []string{constant.GroupKey, constant.VersionKey} {
		if !isAny(rule.GetParam(name, ""), provider.GetParam(name, "")) {
			return false
		}
	}
	return true
}

// adapted returns the rule as the directory is told of it: for whom it is has
// been decided, the group and the version are conditions, and the durations,
// which are milliseconds, are such as the framework reads.
func (r *reference) adapted(from rule) *common.URL {
	u := from.Clone()
	if u.Port == "0" {
		u.Ip, u.Location = constant.AnyHostValue, constant.AnyHostValue
	}
	u.Username = ""
	u.SetParam(constant.InterfaceKey, r.url.Service()) // it may say *, and would be written over that of the provider
	for _, name := range []string{constant.GroupKey, constant.VersionKey} {
		if value := u.GetParam(name, ""); value != "" {
			u.SetParam("~"+name, value)
		}
	}
	for _, name := range []string{constant.ApplicationKey, constant.SideKey, constant.GroupKey, constant.VersionKey, constant.ConfigVersionKey, dynamicKey, priorityKey} {
		u.DelParam(name)
	}
	for name, value := range from.overrides() {
		if name == constant.TimeoutKey || strings.HasSuffix(name, "."+constant.TimeoutKey) {
			if _, err := strconv.ParseUint(value, 10, 32); err == nil {
				u.SetParam(name, value+"ms")
			}
		}
	}
	return u
}

// noRules is the URL that says that there are no rules.
func noRules(of *common.URL) *common.URL {
	return common.NewURLWithOptions(common.WithProtocol(constant.EmptyProtocol), common.WithIp(constant.AnyHostValue), common.WithPort("0"),
		common.WithPath(of.Service()), common.WithParamsValue(constant.InterfaceKey, of.Service()), common.WithParamsValue(constant.CategoryKey, layout.Configurators))
}

func added(u *common.URL) *registry.ServiceEvent {
	return &registry.ServiceEvent{Action: remoting.EventTypeAdd, Service: u}
}
