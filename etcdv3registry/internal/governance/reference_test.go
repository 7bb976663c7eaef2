// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"slices"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// shelf is a directory that understands events as the framework's does: see
// reference.
type shelf struct {
	directory.Directory

	providers map[string]*common.URL // by address
	rules     []*common.URL
	faults    []string // what the framework takes for something else
}

func (s *shelf) Notify(e *registry.ServiceEvent) {
	if !isProvider(e.Service) {
		s.faults = append(s.faults, "a single "+e.Service.String())
		return
	}
	if delete(s.providers, e.Service.Location); e.Action != remoting.EventTypeDel {
		s.providers[e.Service.Location] = e.Service
	}
}

func (s *shelf) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	incoming := map[string]*common.URL{}
	var rules []*common.URL
	for _, e := range events {
		switch category := e.Service.GetParam(constant.CategoryKey, constant.DefaultCategory); {
		case e.Action == remoting.EventTypeDel:
			s.faults = append(s.faults, "a deletion in a list")
		case category == constant.ConfiguratorsCategory:
			rules = append(rules, e.Service)
		case category == constant.DefaultCategory:
			incoming[e.Service.Location] = e.Service
		default:
			s.faults = append(s.faults, "a provider that is none: "+e.Service.String())
		}
	}
	if rules != nil {
		s.rules = slices.DeleteFunc(rules, func(u *common.URL) bool { return u.Protocol == constant.EmptyProtocol })
	}
	if len(incoming) > 0 || len(events) == 0 {
		s.providers = incoming
	}
}

// called returns a parameter of those who are called, with the rules applied.
func (s *shelf) called(consumer *common.URL, param string) map[string]string {
	values := map[string]string{}
	for address, provider := range s.providers {
		u := provider.MergeURL(consumer)
		for _, rule := range s.rules {
			extension.GetDefaultConfigurator(rule).Configure(u)
		}
		values[address] = u.GetParam(param, "")
	}
	return values
}

// referring is a reference, and what it is told of.
type referring struct {
	t        *testing.T
	consumer *common.URL
	shelf    *shelf
	listener registry.NotifyListener
}

func newReferring(t *testing.T) *referring {
	consumer := urltest.Consumer("application", "shop", "group", "*", "version", "*")
	s := &shelf{providers: map[string]*common.URL{}}
	r, _ := NewReference(consumer, s, false)
	return &referring{t, consumer, s, r}
}

// list tells all there is; it begins with the hosts of providers.
func (r *referring) list(hosts []string, raws ...string) {
	r.t.Helper()
	var events []*registry.ServiceEvent
	for _, host := range hosts {
		events = append(events, added(at(host)))
	}
	for _, u := range rules(r.t, raws...) {
		events = append(events, added(u))
	}
	calls := 0
	r.listener.NotifyAll(events, func() { calls++ })
	assert.Equal(r.t, 1, calls)
	assert.Empty(r.t, r.shelf.faults)
}

// at is a provider of group g and version 1.
func at(host string, params ...string) *common.URL {
	return urltest.URL("tri", host, "20000", urltest.Greeter, append([]string{
		"interface", urltest.Greeter, "side", "provider", "application", "inn", "group", "g", "version", "1", "timeout", "3s",
	}, params...)...)
}

const (
	all = "override://0.0.0.0/org.example.Greeter?"
	one = "override://10.0.0.1:20000/org.example.Greeter?"
)

func TestWhichRulesAReferenceAppliesAndTo(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]string{ // the timeouts of two providers
		all + "timeout=2500":                                                      {"2500ms", "2500ms"},
		all + "timeout=2s":                                                        {"2s", "2s"},
		one + "timeout=2500":                                                      {"2500ms", "3s"},
		all + "timeout=2500&side=consumer":                                        {"2500ms", "2500ms"},
		all + "timeout=2500&side=provider":                                        {"3s", "3s"},
		all + "timeout=2500&application=shop":                                     {"2500ms", "2500ms"},
		all + "timeout=2500&application=inn":                                      {"3s", "3s"}, // the provider's
		all + "timeout=2500&group=g&version=1":                                    {"2500ms", "2500ms"},
		all + "timeout=2500&group=h":                                              {"3s", "3s"},
		all + "timeout=2500&version=2":                                            {"3s", "3s"},
		all + "timeout=2500&interface=*&priority=3":                               {"2500ms", "2500ms"},
		"override://10.9.9.9/org.example.Greeter?timeout=2500":                    {"3s", "3s"}, // another consumer
		"override://" + common.GetLocalIp() + "/org.example.Greeter?timeout=2500": {"2500ms", "2500ms"},
		"absent://0.0.0.0/org.example.Greeter?timeout=2500":                       {"3s", "3s"},
	} {
		r := newReferring(t)
		r.list([]string{"10.0.0.1", "10.0.0.2"}, raw)
		assert.Equal(t, map[string]string{"10.0.0.1:20000": want[0], "10.0.0.2:20000": want[1]}, r.shelf.called(r.consumer, "timeout"), raw)
	}
}

func TestAReferenceHasTheRulesThereAreAndNoOthers(t *testing.T) {
	t.Parallel()
	r := newReferring(t)
	hosts := []string{"10.0.0.1"}
	timeout := func() string { return r.shelf.called(r.consumer, "timeout")["10.0.0.1:20000"] }
	r.list(hosts, all+"timeout=1", all+"timeout=2")
	assert.Equal(t, "2ms", timeout())
	r.list(hosts, all+"timeout=1")
	assert.Equal(t, "1ms", timeout())
	r.listener.Notify(added(at("10.0.0.1")))
	assert.Equal(t, "1ms", timeout(), "the list's rules hold for who comes later")
	r.listener.Notify(added(rules(t, all+"timeout=7")[0]))
	assert.Equal(t, "1ms", timeout(), "rules come with a list")
	r.list(hosts, all+"timeout=1&application=other")
	assert.Equal(t, "3s", timeout())
	assert.Empty(t, r.shelf.rules)
	assert.Empty(t, r.shelf.faults)
}

func TestAReferenceHasNoProvidersWhenThereAreNone(t *testing.T) {
	t.Parallel()
	r := newReferring(t)
	r.list([]string{"10.0.0.1"}, all+"timeout=1")
	r.list(nil, all+"timeout=2")
	assert.Empty(t, r.shelf.providers)
	r.listener.Notify(added(at("10.0.0.2")))
	assert.Equal(t, map[string]string{"10.0.0.2:20000": "2ms"}, r.shelf.called(r.consumer, "timeout"), "the rules are there all the same")
	r.list(nil)
	assert.Empty(t, r.shelf.providers)
	assert.Empty(t, r.shelf.rules)
}

func TestAProviderThatIsDisabledIsNotCalledUntilItIsEnabled(t *testing.T) {
	t.Parallel()
	r := newReferring(t)
	hosts := []string{"10.0.0.1", "10.0.0.2"}
	called := func() int { return len(r.shelf.providers) }
	r.list(hosts, one+"disabled=true")
	assert.Equal(t, 1, called())
	assert.NotContains(t, r.shelf.providers, "10.0.0.1:20000")
	r.listener.Notify(added(at("10.0.0.1", "weight", "5")))
	assert.Equal(t, 1, called(), "registered again")
	r.list(hosts, all+"disabled=true", one+"disabled=false")
	assert.Equal(t, 1, called(), "what is about one address counts more")
	assert.Contains(t, r.shelf.providers, "10.0.0.1:20000")
	r.list(hosts, all+"disabled=true&group=h")
	assert.Equal(t, 2, called(), "those of another group")
	r.list(hosts, all+"disabled=true&~application=inn")
	assert.Zero(t, called())
	r.list(hosts)
	assert.Equal(t, 2, called())

	r.listener.Notify(added(at("10.0.0.3", "disabled", "true")))
	assert.Equal(t, 2, called(), "it says so itself")
	r.list(hosts, all+"disabled=false")
	r.listener.Notify(added(at("10.0.0.3", "disabled", "true")))
	assert.Equal(t, 3, called(), "a rule says otherwise")
	r.listener.Notify(&registry.ServiceEvent{Action: remoting.EventTypeDel, Service: at("10.0.0.3")})
	assert.Equal(t, 2, called())
	assert.Empty(t, r.shelf.faults)
}

// An override for consumers out of a config center, which the framework applies itself.
func TestAProviderIsNoneToOverridesForConsumers(t *testing.T) {
	r := newReferring(t)
	r.list([]string{"10.0.0.1"})
	r.listener.Notify(added(at("10.0.0.2")))
	r.shelf.rules = []*common.URL{urltest.URL("override", "0.0.0.0", "0", "*", "configVersion", "v2.7", constant.SideKey, "consumer", "weight", "7")}
	assert.Equal(t, map[string]string{"10.0.0.1:20000": "7", "10.0.0.2:20000": "7"}, r.shelf.called(r.consumer, "weight"))
}

// The framework takes a router for another provider.
func TestAReferenceIsToldOfProvidersAndRulesOnly(t *testing.T) {
	t.Parallel()
	r := newReferring(t)
	router, err := layout.Parse(layout.Routers, layout.Encode("condition://0.0.0.0/org.example.Greeter?category=routers&rule=x"))
	assert.NoError(t, err)
	none := at("10.0.0.3")
	none.Protocol = constant.EmptyProtocol
	r.listener.NotifyAll([]*registry.ServiceEvent{added(router), added(none), added(at("10.0.0.1"))}, func() {})
	r.listener.Notify(added(router))
	r.listener.Notify(added(none))
	assert.Len(t, r.shelf.providers, 1)
	assert.Empty(t, r.shelf.faults)
}
