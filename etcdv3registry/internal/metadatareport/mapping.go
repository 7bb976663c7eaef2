// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	mappings "dubbo.apache.org/dubbo-go/v3/metadata/mapping"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/follower"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// RegisterServiceAppMapping adds an application to those that serve an
// interface, and adds it again if it gets lost with the store.
//
// It waits for etcd, or does not, as PublishAppMetadata.
// report.ErrMappingCASConflict, after which the framework tries again, is returned
// only if others were quicker many times in a row.
func (r *Report) RegisterServiceAppMapping(interfaceName, group, application string) error {
	key, err := named(layout.MappingKey(r.user.Root, group, interfaceName))
	if err != nil {
		return err
	}
	if application == "" {
		return fmt.Errorf("etcdv3 metadata report: %w", layout.ErrNoApplication)
	}
	return r.register("the mapping of "+interfaceName+" to "+application, desired.Key{Name: key, Alone: true, Merge: mapped{application}})
}

// GetServiceAppMapping returns the applications that serve an interface; none
// is not an error. The listener, unless nil, is told all of them whenever they
// are others than those returned, or told last, until
// RemoveServiceAppMappingListener: in a goroutine of its own, one call at a time.
//
// It waits for etcd at most for the timeout of the configuration. If etcd is
// away it returns what the cache file has, or none, and the listener is told
// when etcd is back. With check=true that is an error; what etcd refuses always
// is. In either case the listener is told later all the same: the framework takes
// an error for no applications, and goes on.
func (r *Report) GetServiceAppMapping(interfaceName, group string, l mappings.MappingListener) (*gxset.HashSet, error) {
	key, err := named(layout.MappingKey(r.user.Root, group, interfaceName))
	if err != nil {
		return nil, err
	}
	var names []string
	switch {
	case l == nil:
		names, err = r.readMapping(key)
	case !reflect.ValueOf(l).Comparable():
		err = fmt.Errorf("the listener is a %T, which cannot be compared: use a pointer", l)
	default:
		names, err = r.followMapping(key, interfaceName, l)
	}
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: read the mapping of %s from etcd at %v: %w", interfaceName, r.user.Cluster.Endpoints, err)
	}
	return setOf(names), nil
}

// readMapping reads a mapping once.
func (r *Report) readMapping(key string) ([]string, error) {
	response, err := r.get(key)
	if err != nil {
		err = fmt.Errorf("%w%s", err, rights.ToPrefix(rights.Read, key, err)) // it is followed as a prefix
		return r.withoutEtcd(key, err)
	}
	if len(response.Kvs) == 0 {
		return nil, nil
	}
	names, _ := namesIn(string(response.Kvs[0].Value))
	return names, nil
}

// followMapping reads a mapping and has the listener told of its changes. Both
// come from one feed, so that no change is lost in between.
func (r *Report) followMapping(key, interfaceName string, l mappings.MappingListener) ([]string, error) {
	r.mu.Lock()
	c, err := r.user.Get()
	if err != nil {
		r.mu.Unlock()
		return nil, err
	}
	for _, known := range r.mappings[key] {
		if known.listener == l {
			r.mu.Unlock()
			return known.names(), nil
		}
	}
	// A watch for each interface costs etcd and this process in proportion to what
	// the process refers to. One on all mappings would have every consumer list,
	// and be told of, the interfaces of the whole fleet: with 10,000 of them some
	// 2 MB at each start, mostly of services it never calls. All go over one stream
	// in either case.
	m := &mapping{Follower: follower.Open(c.Watches, key, key), interfaceName: interfaceName, listener: l, save: r.save, first: make(chan struct{})}
	r.mappings[key] = append(r.mappings[key], m)
	r.mu.Unlock()

	ctx, cancel := c.Waiting(r.user.Timeout)
	defer cancel()
	var names []string
	if err = m.Ready(ctx); err == nil {
		names = m.read(m.State())
	} else {
		names, err = r.withoutEtcd(key, err)
	}
	m.set(names)
	close(m.first)
	m.Start(nil, m.tell)
	return names, err
}

// withoutEtcd returns what the cache file has, or none, where that is no error.
func (r *Report) withoutEtcd(key string, err error) ([]string, error) {
	if !retry.CanPass(err) || r.user.Check || r.user.Err() != nil {
		return nil, err
	}
	names, saved, ok := r.file().Get(key)
	if !ok {
		logger.Warnf("[etcdv3] %s is not known yet: etcd at %v has not answered: %v", key, r.user.Cluster.Endpoints, err)
		return nil, nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	logger.Warnf("[etcdv3] etcd at %v does not answer, going on with what %s was %v ago (%s): %v",
		r.user.Cluster.Endpoints, key, time.Since(saved).Round(time.Second), sane.ShowAll(names), err)
	return names, nil
}

// file is the local cache file: which applications served an interface, for a
// consumer that starts without etcd. An entry has the name of the key in etcd, which
// no entry of a registry has.
func (r *Report) file() *cachefile.File { return r.user.File("") }

// save saves the names for a key, if the file can hold them. None are saved only
// over some: of most interfaces that a process asks for there is nothing to say.
func (r *Report) save(key string, names []string) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.ContainsFunc(name, unicode.IsSpace) })
	if _, _, known := r.file().Get(key); known || len(names) > 0 {
		r.file().Set(key, names)
	}
}

// RemoveServiceAppMappingListener ends what listeners of an interface are told,
// all of them, as the framework does not say which it means; but for those that
// have a method Stopped() bool, which says whether it is meant. Once it has
// returned none of them is called any more, unless it was called from inside such
// a call.
func (r *Report) RemoveServiceAppMappingListener(interfaceName, group string) error {
	key, err := named(layout.MappingKey(r.user.Root, group, interfaceName))
	if err != nil {
		return err
	}
	if err = r.user.Err(); err != nil && !errors.Is(err, extension.ErrClosed) { // it never was of use
		return fmt.Errorf("etcdv3 metadata report: %w", err)
	}
	r.mu.Lock()
	var ended, left []*mapping
	for _, m := range r.mappings[key] {
		if l, ok := m.listener.(interface{ Stopped() bool }); ok && !l.Stopped() {
			left = append(left, m)
		} else {
			ended = append(ended, m)
		}
	}
	if delete(r.mappings, key); len(left) > 0 {
		r.mappings[key] = left
	}
	r.mu.Unlock()
	for _, m := range ended {
		m.Close()
	}
	return nil
}

// mapping is what one listener is told of one interface.
type mapping struct {
	*follower.Follower
	interfaceName string
	listener      mappings.MappingListener
	save          func(key string, names []string)

	first     chan struct{} // closed when the first names are known
	mu        sync.Mutex    // guards what follows
	delivered []string      // returned, or told last; sorted
}

// set notes what the listener is told, and reports whether it knew that.
func (m *mapping) set(names []string) (known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known = slices.Equal(names, m.delivered)
	m.delivered = names
	return known
}

// names returns what the listener knows, as soon as it knows something: who has
// begun to follow the key waits for that no longer than its own timeout.
func (m *mapping) names() []string {
	<-m.first
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.delivered
}

// read takes the names out of a state, and into the cache.
func (m *mapping) read(s follower.State) []string {
	var names []string
	if s.Exists {
		var err error
		if names, err = namesIn(s.Value); err != nil {
			m.Skip(err)
		}
	}
	m.save(m.Key(), names)
	return names
}

// tell is called by the follower.
func (m *mapping) tell(s follower.State) {
	names := m.read(s)
	if m.set(names) {
		return
	}
	logger.Infof("[etcdv3] %s is served by %d application(s): %s", m.interfaceName, len(names), sane.ShowAll(names))
	if err := m.listener.OnEvent(registry.NewServiceMappingChangedEvent(m.interfaceName, setOf(names))); err != nil {
		logger.Errorf("[etcdv3] the applications that serve %s have changed, and that failed with: %v", m.interfaceName, err)
	}
}

// namesIn returns the names of applications, sorted, each once. The error says how
// many are left out.
func namesIn(value string) ([]string, error) {
	names, err := sane.Names(strings.Split(value, constant.CommaSeparator))
	slices.Sort(names)
	return names, err
}

// setOf makes a set of its own for each listener: the framework changes it.
func setOf(names []string) *gxset.HashSet {
	set := gxset.NewSet()
	for _, name := range names {
		set.Add(name)
	}
	return set
}
