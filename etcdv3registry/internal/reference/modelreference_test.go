// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router/chain"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/registry"
	frameworks "dubbo.apache.org/dubbo-go/v3/registry/directory"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
)

// referring is a reference of a history: the framework's own directory, and the
// subscription that tells it.
type referring struct {
	*market
	service      service
	fixed        []string // the applications that it names itself
	directory    *frameworks.RegistryDirectory
	chain        *invokers.Chain
	subscription *subscription
	had          map[string]bool // applications that it goes on calling if their name gets lost

	telling sync.Mutex // guards what follows
	slow    time.Duration
	leaves  bool // from inside the next delivery
	closed  bool // it must not be told anything any more
	started int  // calls of start that have not returned
}

// registered is as much of a registry as a directory asks for.
type registered struct{ registry.Registry }

func (registered) LoadSubscribeInstances(*common.URL, registry.NotifyListener) error { return nil }

func (m *market) refer(s service, fixed ...string) *referring {
	u := common.NewURLWithOptions(common.WithProtocol(s.protocol), common.WithPath(s.name), common.WithInterface(s.name))
	for name, value := range map[string]string{
		constant.GroupKey: s.group, constant.VersionKey: s.version, constant.TimeoutKey: "3s", constant.SideKey: "consumer",
		constant.ApplicationKey: "caller", constant.ProvidedBy: strings.Join(fixed, ","),
	} {
		if value != "" {
			u.SetParam(name, value)
		}
	}
	u.SetAttribute(marketKey, m)
	from := common.NewURLWithOptions(common.WithProtocol(constant.ServiceRegistryProtocol))
	from.SubURL = u
	plain, err := frameworks.NewRegistryDirectory(from, registered{})
	require.NoError(m.t, err)
	r := &referring{market: m, service: s, fixed: fixed, directory: plain.(*frameworks.RegistryDirectory), chain: &invokers.Chain{Chain: &chain.RouterChain{}}, had: map[string]bool{}}
	r.directory.SetRouterChain(r.chain)
	r.subscription = newSubscription(m, from, u, r, r.chain)
	r.subscription.names.reports = m.reportsOf
	return r
}

func (r *referring) start() {
	r.telling.Lock()
	r.started++
	r.telling.Unlock()
	go func() {
		_ = r.subscription.start() // the error is that of a report, or of close
		r.telling.Lock()
		defer r.telling.Unlock()
		r.started--
	}()
}

// end is what Directory.Destroy does.
func (r *referring) end() {
	r.subscription.close()
	r.telling.Lock()
	r.closed = true
	r.telling.Unlock()
	r.directory.Destroy()
}

// told is called with what the reference is told, before the directory is.
func (r *referring) told(events ...*registry.ServiceEvent) {
	r.telling.Lock()
	slow := r.slow
	assert.False(r.t, r.closed, "it is told of %v after it was closed", events)
	r.telling.Unlock()
	for _, e := range events {
		assert.Equal(r.t, fmt.Sprint(slices.Index(services, r.service)), e.Service.GetParam("of", ""), "it is told of another service")
	}
	time.Sleep(slow)
}

func (r *referring) taken() {
	r.telling.Lock()
	leaves := r.leaves
	r.leaves = false
	r.telling.Unlock()
	if leaves {
		r.end()
	}
}

func (r *referring) Notify(e *registry.ServiceEvent) {
	r.told(e)
	defer r.taken()
	r.directory.Notify(e)
}

func (r *referring) NotifyAll(events []*registry.ServiceEvent, done func()) {
	r.told(events...)
	defer r.taken()
	for _, e := range events {
		assert.NotEqual(r.t, remoting.EventTypeDel, e.Action)
	}
	r.directory.NotifyAll(events, done)
}

// invokers returns who can be called.
func (r *referring) invokers() []base.Invoker {
	return slices.Clone(r.chain.Invokers())
}

// retire has the directory end who it calls at a port by itself, as dubbo-go does
// when a provider says that it is about to stop.
func (r *referring) retire(port int) {
	for _, invoker := range r.invokers() {
		if u := invoker.GetURL(); u.Port == fmt.Sprint(port) {
			r.directory.RemoveClosingInstance(u.GetCacheInvokerMapKey())
		}
	}
}

// where and what say how somebody is called.
func where(protocol, host string, port any) string {
	return fmt.Sprintf("%s://%s:%v", protocol, host, port)
}

func what(u *common.URL) string {
	return fmt.Sprintf("%s %s weight=%s tag=%s note=%s timeout=%s", where(u.Protocol, u.Ip, u.Port), u.ServiceKey(),
		u.GetParam(constant.WeightKey, ""), u.GetParam(constant.Tagkey, ""), u.GetParam("note", ""), u.GetParam(constant.TimeoutKey, ""))
}

// wanted is one that a reference should call.
type wanted struct {
	what string
	odd  bool // the framework panics over it: it may be missing, or as it was
}

// of returns whom the reference would call of an application, by where that is.
// lost says which ports nobody answers at.
func (r *referring) of(app string, o overriding, lost map[int]bool) map[string][]wanted {
	all := map[string][]wanted{}
	for _, i := range r.offers[app] {
		port := i.portOf(r.service.protocol)
		at := slices.Index(services, r.service)
		_, elsewhere := r.offers[app][offer{host: i.host, port: port}.key()]
		if i.serves&(1<<at) == 0 || port != i.port && elsewhere || lost[port] {
			continue
		}
		weight, timeout, tag := fmt.Sprint(i.weight), "3s", i.tag
		if i.weight == 0 {
			weight = fmt.Sprint(constant.DefaultWeight)
		}
		o.apply(i.host, port, &weight, &timeout, &tag)
		e := where(r.service.protocol, i.host, port)
		all[e] = append(all[e], wanted{odd: i.note == odd, what: fmt.Sprintf("%s %s weight=%s tag=%s note=%s timeout=%s",
			e, common.ServiceKey(r.service.name, r.service.group, r.service.version), weight, tag, i.note, timeout)})
	}
	return all
}

// named are the applications that serve the reference, by the mapping or itself.
func (r *referring) named(app string) bool {
	if len(r.fixed) > 0 {
		return slices.Contains(r.fixed, app)
	}
	return slices.ContainsFunc(r.reports[:], func(m *modelReport) bool { return slices.Contains(m.names[r.service.name], app) })
}

// look notes which applications serve nothing now.
func (r *referring) look() {
	for _, app := range applications {
		if len(r.of(app, overriding{}, nil)) == 0 {
			r.had[app] = false
		}
	}
}

// judge compares who can be called with who should be.
func (r *referring) judge(o overriding, lost map[int]bool) {
	got := map[string][]string{}
	for _, invoker := range r.invokers() {
		u := invoker.GetURL()
		assert.True(r.t, invoker.IsAvailable(), "%s is called, and has ended", what(u))
		e := where(u.Protocol, u.Ip, u.Port)
		got[e] = append(got[e], what(u))
	}
	may := map[string][]wanted{}
	for _, app := range applications {
		for e, at := range r.of(app, o, lost) {
			may[e] = append(may[e], at...)
		}
	}
	for _, app := range applications {
		whole := true
		for e, at := range r.of(app, o, lost) {
			if len(got[e]) == 0 {
				whole = false
				assert.False(r.t, (r.named(app) || r.had[app]) && !slices.ContainsFunc(may[e], func(w wanted) bool { return w.odd }),
					"%v is not called, %v are", at, got)
			}
		}
		switch serves := len(r.of(app, o, nil)) > 0; {
		case r.named(app):
			r.had[app] = serves
		case r.subscription.feeds[app] == nil:
			r.had[app] = false
		default:
			assert.True(r.t, serves, "%s is not named, serves nothing, and is followed", app)
			r.had[app] = whole
		}
	}
	for e, called := range got {
		var texts []string
		anything := false
		for _, w := range may[e] {
			texts, anything = append(texts, w.what), anything || w.odd
		}
		assert.LessOrEqual(r.t, len(called), len(texts), "%v are called, there are %v", called, texts)
		for _, c := range called {
			assert.True(r.t, anything || slices.Contains(texts, c), "%s is called, it should be %v", c, texts)
		}
	}
}
