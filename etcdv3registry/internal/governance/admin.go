// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"net/url"
	"reflect"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// IsAdmin reports whether a listener to everything is dubbo-admin's. It is the
// one that is no pointer: dubbo-admin keeps what it is told in variables of its
// package. Others with that URL are told of changes as everybody is.
func IsAdmin(u *common.URL, l registry.NotifyListener) bool {
	return u.Protocol == "admin" && u.Service() == constant.AnyValue && reflect.TypeOf(l).Kind() == reflect.Struct
}

// admin tells dubbo-admin about everything. It takes no notice of what happened
// to a URL, as in Java, where a listener is told what there is of a category of
// an interface or, by a URL of the protocol empty, that there is nothing; and
// what it is told last counts. So after what is gone it is told of what is left,
// or that nothing is.
type admin struct {
	registry.NotifyListener
	root string
	url  *common.URL
	read func(key string) (*common.URL, error)
	keys map[string][]string // of a category of an interface, in the order in which it was told
}

// NewAdmin returns who is to be told in place of dubbo-admin, which is subscribed
// to a URL. read reads the keys below root.
func NewAdmin(root string, u *common.URL, l registry.NotifyListener, read func(string) (*common.URL, error)) registry.NotifyListener {
	return &admin{NotifyListener: l, root: root, url: u, read: read, keys: map[string][]string{}}
}

// Notify tells the listener about one change. The key of an event is that in
// etcd.
func (a *admin) Notify(e *registry.ServiceEvent) {
	key := e.Key()
	category := a.categoryOf(key)
	left := slices.DeleteFunc(a.keys[category], func(k string) bool { return k == key })
	if e.Action != remoting.EventTypeDel {
		a.keys[category] = append(left, key)
		a.NotifyListener.Notify(e)
		return
	}
	a.NotifyListener.Notify(e)
	if a.keys[category] = left; len(left) == 0 {
		a.nothing(category)
		return
	}
	last := left[len(left)-1]
	if u, err := a.read(last); err == nil && u != nil {
		a.NotifyListener.Notify(delivery.Event(remoting.EventTypeUpdate, last, u))
	}
}

// NotifyAll tells the listener about everything there is.
func (a *admin) NotifyAll(events []*registry.ServiceEvent, done func()) {
	before := a.keys
	a.keys = make(map[string][]string, len(before))
	for _, e := range events {
		category := a.categoryOf(e.Key())
		a.keys[category] = append(a.keys[category], e.Key())
	}
	a.NotifyListener.NotifyAll(events, done)
	for category := range before {
		if len(a.keys[category]) == 0 {
			a.nothing(category)
		}
	}
}

// CategoryOf is where a key is: the path of a category of an interface.
func (a *admin) categoryOf(key string) string { return key[:strings.LastIndexByte(key, '/')] }

// nothing tells the listener that a category of an interface is empty.
func (a *admin) nothing(path string) {
	delete(a.keys, path)
	encoded, category, _ := strings.Cut(strings.TrimPrefix(path, a.root+"/"), "/")
	service, err := url.QueryUnescape(encoded)
	if err != nil {
		service = encoded
	}
	u := a.url.Clone() // with the groups and versions that it is subscribed to
	u.Protocol = constant.EmptyProtocol
	u.Path = "/" + service
	u.SetParam(constant.InterfaceKey, service)
	u.SetParam(constant.CategoryKey, category)
	a.NotifyListener.Notify(delivery.Event(remoting.EventTypeDel, path, u))
}
