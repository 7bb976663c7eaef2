// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"reflect"
	"strings"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsConfigCenter "dubbo.apache.org/dubbo-go/v3/metrics/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/follower"
)

// listenerID tells what is listened to apart.
type listenerID struct {
	path     string
	listener config_center.ConfigurationListener
}

// AddListener has the listener told what there is, and every change of it, until
// RemoveListener: as an addition, an update or a deletion, in order, one call at a
// time, whichever keys it listens to. Changes that follow each other quicker than
// the listener returns are told as one. Adding it again does nothing.
//
// What is there already is told as an addition, as some of the framework's
// listeners do not ask for it. Only the configuration that GetProperties has
// returned, as the framework does when it starts, is not told again: it would be
// applied a second time, to what is being started.
//
// While etcd is away nothing is told; what changed meanwhile is told afterwards.
func (c *Center) AddListener(key string, listener config_center.ConfigurationListener, opts ...config_center.Option) {
	group := groupOf(opts)
	path, err := c.path(key, group)
	switch {
	case err != nil:
	case listener == nil || !reflect.ValueOf(listener).Comparable():
		logger.Errorf("[etcdv3] %s cannot be listened to by a %T, which cannot be compared and so not be removed: use a pointer", path, listener)
		return
	default:
		err = c.add(listenerID{path, listener}, key, group)
	}
	if err != nil {
		logger.Errorf("[etcdv3] nobody is told of changes of %q in the config center: %v", key, err)
	}
}

func (c *Center) add(id listenerID, key, group string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.user.Get()
	if err != nil || c.listeners[id] != nil {
		return err
	}
	s := &subscription{Follower: follower.Open(cl.Watches, watched(id.path), id.path), center: c, key: key, group: group, listener: id.listener, calls: c.callsLocked(id.listener)}
	s.delivered = c.started[id.path]
	delete(c.started, id.path)
	c.listeners[id] = s
	c.reads.begin()() // GetRule follows
	s.Start(c.reads.wait, s.tell)
	if isRule(key) {
		c.settle(s)
	}
	return nil
}

// calls are those of a listener, for whichever key: one at a time.
type calls struct {
	sync.Mutex
	keys int // that it listens to, guarded by Center.mu
}

func (c *Center) callsLocked(l config_center.ConfigurationListener) *calls {
	if c.calls[l] == nil {
		c.calls[l] = &calls{}
	}
	c.calls[l].keys++
	return c.calls[l]
}

// watched is the prefix of the watch that a key is in: one for all rules of a
// service or of an application (condition-router, tag-router, configurators and
// so on come behind the last dot). A consumer listens to three keys of each of
// its references, most of which do not exist: so that is one watch, as many as
// the registry needs. One on everything would have each process hold the
// configuration of all others.
func watched(path string) string {
	if dot := strings.LastIndexByte(path, '.'); dot > strings.LastIndexByte(path, '/') {
		return path[:dot+1]
	}
	return path
}

// RemoveListener ends what AddListener began, for this listener, key and group.
// Once it has returned the listener is not told anything any more; if it was
// called from inside a call of a listener, that call ends by itself.
func (c *Center) RemoveListener(key string, listener config_center.ConfigurationListener, opts ...config_center.Option) {
	path, err := c.path(key, groupOf(opts))
	if err != nil || listener == nil || !reflect.ValueOf(listener).Comparable() {
		return
	}
	id := listenerID{path, listener}
	c.mu.Lock()
	s := c.listeners[id]
	delete(c.listeners, id)
	if s != nil {
		if s.calls.keys--; s.calls.keys == 0 {
			delete(c.calls, listener)
		}
	}
	c.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// known returns what a listener of a key was told last.
func (c *Center) known(path string) (value string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range c.listeners {
		if state := s.State(); id.path == path && state.Known {
			return c.valueIn(path, state), true
		}
	}
	return "", false
}

// subscription is what one listener is told of one key.
type subscription struct {
	*follower.Follower
	center     *Center
	key, group string // as the listener knows it
	listener   config_center.ConfigurationListener
	calls      *calls // of the listener, which may listen to several keys

	// What follows belongs to the follower's goroutine.
	last      follower.State
	delivered string // to the listener, last
}

func (s *subscription) tell(state follower.State) {
	before, now := s.delivered, s.center.valueIn(s.Key(), state)
	again := state == s.last
	s.last, s.delivered = state, now
	if now == before && !(again && s.center.hasElse(s.Key(), now)) {
		return
	}
	action := remoting.EventTypeUpdate
	switch {
	case now == "":
		action = remoting.EventTypeDel
	case before == "":
		action = remoting.EventTypeAdd
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	if again {
		s.listener.Process(&config_center.ConfigChangeEvent{Key: s.key, Value: now, ConfigType: action})
		return
	}
	metrics.Publish(metricsConfigCenter.NewIncMetricEvent(s.key, s.group, action, "etcdv3"))
	s.listener.Process(&config_center.ConfigChangeEvent{Key: s.key, Value: now, ConfigType: action})
	if strings.HasSuffix(s.key, constant.ConfiguratorSuffix) {
		s.center.overrides.changed(namesIn(s.center.Parser(), before))
	}
}

// valueIn is what a listener is told; nothing is "".
func (c *Center) valueIn(path string, state follower.State) string {
	if !state.Exists {
		state.Value = ""
	}
	return c.told(path, state.Value)
}
