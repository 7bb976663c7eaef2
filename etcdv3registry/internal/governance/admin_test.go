// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// console keeps what it is told of as dubbo-admin does: of a category of an
// interface what comes last counts, and a URL of the protocol empty ends it. What
// an event is, an addition or a deletion, makes no difference.
type console struct{ shown map[string]string }

func newConsole() console { return console{map[string]string{}} }

func (c console) Notify(e *registry.ServiceEvent) {
	u := e.Service
	of := u.Service() + "/" + u.GetParam(constant.CategoryKey, constant.DefaultCategory)
	if c.shown[of] = u.Ip; u.Protocol == constant.EmptyProtocol {
		delete(c.shown, of)
	}
}

func (c console) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	for _, e := range events {
		c.Notify(e)
	}
}

// everything is what dubbo-admin subscribes to.
func everything() *common.URL {
	return urltest.URL("admin", "10.0.0.9", "0", "", "interface", "*", "group", "*", "version", "*", "classifier", "*", "enabled", "*",
		"category", "providers,consumers,routers,configurators")
}

// entry is what is told of a key in etcd.
func entry(action remoting.EventType, interfaceName, category, ip string) *registry.ServiceEvent {
	key := "/dubbo/" + url.QueryEscape(interfaceName) + "/" + category + "/" +
		layout.Encode("tri://"+ip+":20000/"+interfaceName+"?interface="+interfaceName+"&category="+category)
	u, _ := readKey(key)
	return delivery.Event(action, key, u)
}

func readKey(key string) (*common.URL, error) {
	category, encoded, ok := layout.Split("/dubbo", key)
	if !ok {
		return nil, errors.New("it is no entry")
	}
	return layout.Parse(category, encoded)
}

func TestDubboAdminIsTheOnlyListenerThatIsTreatedAsSuch(t *testing.T) {
	t.Parallel()
	assert.True(t, IsAdmin(everything(), newConsole()))
	assert.False(t, IsAdmin(everything(), &struct{ console }{}), "another one that listens to everything")
	consumer := everything()
	consumer.Protocol = "consumer"
	assert.False(t, IsAdmin(consumer, newConsole()))
	one := everything()
	one.SetParam(constant.InterfaceKey, urltest.Greeter)
	assert.False(t, IsAdmin(one, newConsole()))
}

func TestDubboAdminShowsWhatIsLeftAfterADeletion(t *testing.T) {
	t.Parallel()
	c := newConsole()
	a := NewAdmin("/dubbo", everything(), c, readKey)
	const add, del = remoting.EventTypeAdd, remoting.EventTypeDel
	const nested = "org.example.Outer$Inner"
	a.Notify(entry(add, urltest.Greeter, "providers", "10.0.0.1"))
	a.Notify(entry(add, urltest.Greeter, "providers", "10.0.0.2"))
	a.Notify(entry(add, urltest.Greeter, "providers", "10.0.0.1")) // its key was put again
	a.Notify(entry(add, urltest.Greeter, "consumers", "10.1.0.1"))
	a.Notify(entry(add, nested, "providers", "10.0.0.1"))
	providers, consumers := urltest.Greeter+"/providers", urltest.Greeter+"/consumers"
	assert.Equal(t, map[string]string{providers: "10.0.0.1", consumers: "10.1.0.1", nested + "/providers": "10.0.0.1"}, c.shown)

	a.Notify(entry(del, urltest.Greeter, "providers", "10.0.0.1"))
	assert.Equal(t, "10.0.0.2", c.shown[providers])
	a.Notify(entry(del, urltest.Greeter, "providers", "10.0.0.2"))
	assert.Equal(t, map[string]string{consumers: "10.1.0.1", nested + "/providers": "10.0.0.1"}, c.shown)
	a.Notify(entry(del, nested, "providers", "10.0.0.1"))
	a.Notify(entry(del, urltest.Greeter, "consumers", "10.1.0.1"))
	assert.Empty(t, c.shown)
	a.Notify(entry(add, urltest.Greeter, "providers", "10.0.0.3"))
	assert.Equal(t, map[string]string{providers: "10.0.0.3"}, c.shown)
}

func TestDubboAdminIsToldByAListWhatThereIsNotAnyMore(t *testing.T) {
	t.Parallel()
	c := newConsole()
	a := NewAdmin("/dubbo", everything(), c, readKey)
	calls := 0
	list := func(events ...*registry.ServiceEvent) { a.NotifyAll(events, func() { calls++ }) }
	const add = remoting.EventTypeAdd
	list(entry(add, urltest.Greeter, "providers", "10.0.0.1"), entry(add, urltest.Greeter, "routers", "0.0.0.0"), entry(add, "org.example.Clock", "providers", "10.0.0.1"))
	assert.Len(t, c.shown, 3)
	list(entry(add, urltest.Greeter, "providers", "10.0.0.2"))
	assert.Equal(t, map[string]string{urltest.Greeter + "/providers": "10.0.0.2"}, c.shown)
	a.Notify(entry(remoting.EventTypeDel, urltest.Greeter, "providers", "10.0.0.2"))
	assert.Empty(t, c.shown, "the list has replaced what was there before")
	list()
	assert.Empty(t, c.shown)
	assert.Equal(t, 3, calls, "the caller is told each time")
}

func TestWhatDubboAdminIsToldIsEmptyIsOfAllGroupsAndVersions(t *testing.T) {
	t.Parallel()
	var told []*common.URL
	l := &recorder{notify: func(e *registry.ServiceEvent) { told = append(told, e.Service) }}
	a := NewAdmin("/dubbo", everything(), l, readKey)
	a.Notify(entry(remoting.EventTypeAdd, urltest.Greeter, "providers", "10.0.0.1"))
	a.Notify(entry(remoting.EventTypeDel, urltest.Greeter, "providers", "10.0.0.1"))
	last := told[len(told)-1]
	assert.Equal(t, constant.EmptyProtocol, last.Protocol)
	assert.Equal(t, urltest.Greeter, last.Service())
	assert.Equal(t, "providers", last.GetParam(constant.CategoryKey, ""))
	assert.Equal(t, "*", last.Group())
	assert.Equal(t, "*", last.Version())
	assert.True(t, strings.HasPrefix(last.String(), "empty://10.0.0.9"), last.String())
}

// recorder is a listener made of functions.
type recorder struct {
	notify func(*registry.ServiceEvent)
	all    func([]*registry.ServiceEvent)
}

func (r *recorder) Notify(e *registry.ServiceEvent) { r.notify(e) }

func (r *recorder) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	r.all(events)
}
