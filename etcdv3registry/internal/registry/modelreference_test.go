// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/protocol/invocation"
	"dubbo.apache.org/dubbo-go/v3/protocol/protocolwrapper"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/registry/directory"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// sort is what a reference asks for, or what a provider is.
type sort struct{ protocol, group, version string }

var sorts = []sort{{"tri", "", ""}, {"tri", "g", "1"}, {"dubbo", "", ""}}

// calls is the protocol by which the framework's directory calls: everybody can be
// connected to.
type calls struct{ base.Protocol }

func init() {
	extension.SetProtocol(protocolwrapper.FILTER, func() base.Protocol { return calls{} })
}

func (calls) Refer(u *common.URL) base.Invoker {
	if u.GetParam("note", "") == odd {
		panic("an odd provider")
	}
	return base.NewBaseInvoker(u)
}

// odd is the note of a provider that the framework panics over.
const odd = "odd"

// referring is a reference of a history: the framework's directory.
type referring struct {
	sort
	history   *history
	directory *directory.RegistryDirectory

	mu     sync.Mutex // guards what follows
	slow   time.Duration
	leaves bool // from inside the next delivery
	closed bool
	begun  bool
}

// hearing is a reference as the registry sees it: it tells it the framework's
// directory, which it is otherwise.
type hearing struct {
	*directory.RegistryDirectory
	*referring
}

func (l hearing) told() {
	l.mu.Lock()
	slow := l.slow
	assert.False(l.history.t, l.closed, "it is told of something after it was closed")
	l.mu.Unlock()
	time.Sleep(slow)
}

func (l hearing) taken() {
	l.mu.Lock()
	leaves := l.leaves
	l.leaves = false
	l.mu.Unlock()
	if leaves {
		l.RegistryDirectory.Destroy()
		time.AfterFunc(time.Nanosecond, l.end) // when what it is being told has been said
	}
}

func (l hearing) Notify(e *framework.ServiceEvent) {
	l.told()
	defer l.taken()
	l.RegistryDirectory.Notify(e)
}

func (l hearing) NotifyAll(events []*framework.ServiceEvent, done func()) {
	l.told()
	defer l.taken()
	l.RegistryDirectory.NotifyAll(events, done)
}

// between has the directory told by way of hearing.
type between struct {
	framework.Registry
	*referring
}

func (b *between) LoadSubscribeInstances(u *common.URL, l framework.NotifyListener) error {
	b.directory = l.(*directory.RegistryDirectory)
	return b.Registry.LoadSubscribeInstances(u, hearing{b.directory, b.referring})
}

func (b *between) Subscribe(u *common.URL, l framework.NotifyListener) error {
	return b.Registry.Subscribe(u, hearing{b.directory, b.referring})
}

func (b *between) UnSubscribe(u *common.URL, l framework.NotifyListener) error {
	return b.Registry.UnSubscribe(u, hearing{b.directory, b.referring})
}

// refer makes a reference and subscribes it, as the framework does.
func (h *history) refer(k sort) *referring {
	r := &referring{history: h, sort: k}
	u := urltest.Consumer(constant.ApplicationKey, "caller", constant.TimeoutKey, "3s")
	u.Protocol = k.protocol
	for name, value := range map[string]string{constant.GroupKey: k.group, constant.VersionKey: k.version} {
		if value != "" {
			u.SetParam(name, value)
		}
	}
	from := urltest.URL("registry", "etcd", "2379", "")
	from.SubURL = u
	d, err := directory.NewRegistryDirectory(from, &between{Registry: h.registry, referring: r})
	assert.NoError(h.t, err)
	go func() {
		_ = d.Subscribe(u) // the error is that of its registration
		r.mu.Lock()
		defer r.mu.Unlock()
		r.begun = true
	}()
	return r
}

func (r *referring) end() {
	r.directory.Destroy()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// hurries has nobody wait for it any more.
func (r *referring) hurries() {
	r.mu.Lock()
	slow := r.slow
	r.slow = 0
	r.mu.Unlock()
	if slow > 0 {
		time.Sleep(time.Minute)
	}
}

// called returns who would be called, and how, but for those that the framework
// panics over: they may be missing, or as they were.
func (r *referring) called() []string {
	all := []string{}
	for _, invoker := range r.directory.List(invocation.NewRPCInvocation("Greet", nil, nil)) {
		u := invoker.GetURL()
		assert.True(r.history.t, invoker.IsAvailable(), "%s is called, and has ended", what(u))
		if e := r.latest()[idOfProvider(u.Ip, u.Port, u.GetParam(constant.TimestampKey, ""))]; e.of.note != odd {
			all = append(all, what(u))
		}
	}
	slices.Sort(all)
	return all
}

func what(u *common.URL) string {
	return fmt.Sprintf("%s://%s:%s started=%s weight=%s timeout=%s", u.Protocol, u.Ip, u.Port, u.GetParam(constant.TimestampKey, ""),
		u.GetParam(constant.WeightKey, ""), u.GetParam(constant.TimeoutKey, ""))
}

// provider is one that is in etcd.
type provider struct {
	sort
	host, port      string
	started, weight int
	timeout         string
	enabled         bool
	disabled        bool
	note            string
}

func (p provider) url() *common.URL {
	u := urltest.Provider("weight", fmt.Sprint(p.weight), constant.TimestampKey, fmt.Sprint(p.started), constant.ApplicationKey, "shop")
	u.Protocol, u.Ip, u.Port, u.Location = p.protocol, p.host, p.port, p.host+":"+p.port
	for name, value := range map[string]string{constant.GroupKey: p.group, constant.VersionKey: p.version, constant.TimeoutKey: p.timeout, "note": p.note} {
		if value != "" {
			u.SetParam(name, value)
		}
	}
	if !p.enabled {
		u.SetParam(constant.EnabledKey, "false")
	}
	if p.disabled {
		u.SetParam("disabled", "true")
	}
	return u
}

// override is one that is in etcd.
type override struct {
	protocol, host, port string
	sort                 // the group and version that it names
	application, side    string
	priority             int
	timeout, weight      string
	disabled             string
}

func (o override) raw() string {
	address := o.host
	if o.port != "" {
		address += ":" + o.port
	}
	raw := o.protocol + "://" + address + "/" + urltest.Greeter + "?category=configurators&dynamic=false"
	for _, p := range [][2]string{{"group", o.group}, {"version", o.version}, {"application", o.application}, {"side", o.side},
		{"timeout", o.timeout}, {"weight", o.weight}, {"disabled", o.disabled}} {
		if p[1] != "" {
			raw += "&" + p[0] + "=" + p[1]
		}
	}
	if o.priority != 0 {
		raw += fmt.Sprintf("&priority=%d", o.priority)
	}
	return raw
}

// latest returns the providers of what is referred to: of several keys for one, that
// which was created last.
func (r *referring) latest() map[string]entry[provider] {
	latest := map[string]entry[provider]{}
	for _, e := range r.history.providers {
		p := e.of
		if p.sort != r.sort || !p.enabled {
			continue
		}
		id := idOfProvider(p.host, p.port, fmt.Sprint(p.started))
		if e.created > latest[id].created {
			latest[id] = e
		}
	}
	return latest
}

func idOfProvider(host, port, started string) string { return host + ":" + port + " " + started }

// wanted returns who should be called, and how: what is in etcd, with the overrides
// that are there.
func (r *referring) wanted() []string {
	h := r.history
	var rules []entry[override]
	for _, e := range h.overrides {
		o := e.of
		if o.group != r.group || o.version != r.version {
			continue
		}
		if o.protocol == constant.EmptyProtocol {
			rules = nil
			break
		}
		if o.application != "" && o.application != "caller" || o.side != "" && o.side != constant.Consumer {
			continue
		}
		rules = append(rules, e)
	}
	slices.SortFunc(rules, func(a, b entry[override]) int {
		return cmp.Or(cmp.Compare(a.of.host, b.of.host), cmp.Compare(a.of.priority, b.of.priority), cmp.Compare(a.created, b.created))
	})
	all := []string{}
	for _, e := range r.latest() {
		p := e.of
		weight, timeout, disabled := fmt.Sprint(p.weight), cmp.Or(p.timeout, "3s"), p.disabled
		for _, rule := range rules {
			o := rule.of
			if o.port != "" && (o.port != p.port || o.host != p.host) || o.port == "" && o.host != constant.AnyHostValue {
				continue
			}
			weight = cmp.Or(o.weight, weight)
			if o.timeout != "" {
				timeout = o.timeout + "ms"
			}
			if o.disabled != "" {
				disabled = o.disabled == "true"
			}
		}
		if !disabled && p.note != odd {
			all = append(all, fmt.Sprintf("%s://%s:%s started=%d weight=%s timeout=%s", p.protocol, p.host, p.port, p.started, weight, timeout))
		}
	}
	slices.Sort(all)
	return all
}

// collecting is a listener that is no directory, and adds up what it is told.
type collecting struct {
	mu  sync.Mutex // guards all
	all map[string]string
}

func (c *collecting) Notify(e *framework.ServiceEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.all, e.Key()); e.Action != remoting.EventTypeDel {
		c.all[e.Key()] = e.Service.String()
	}
}

func (c *collecting) NotifyAll(events []*framework.ServiceEvent, done func()) {
	defer done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = map[string]string{}
	for _, e := range events {
		c.all[e.Key()] = e.Service.String()
	}
}
