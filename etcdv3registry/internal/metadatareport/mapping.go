// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	mappings "dubbo.apache.org/dubbo-go/v3/metadata/mapping"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/follower"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// RegisterServiceAppMapping adds an application to those that serve an
// interface, and adds it again if it gets lost with the store.
//
// It waits for etcd as PublishAppMetadata does. report.ErrMappingCASConflict,
// after which the framework tries again, is returned only if others were quicker
// many times in a row.
func (r *Report) RegisterServiceAppMapping(interfaceName, group, application string) error {
	key, err := r.mappingKey(interfaceName, group)
	if err != nil {
		return err
	}
	if application == "" {
		return errNoApplication
	}
	return r.keep(&wish{key: key, application: application}, "map "+interfaceName+" to "+application)
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
	key, err := r.mappingKey(interfaceName, group)
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
		return nil, fmt.Errorf("etcdv3 metadata report: read the mapping of %s from etcd at %v: %w", interfaceName, r.cfg.Cluster.Endpoints, err)
	}
	return setOf(names), nil
}

// readMapping reads a mapping once.
func (r *Report) readMapping(key string) ([]string, error) {
	response, err := r.get(key)
	if err != nil {
		return r.withoutEtcd(key, err)
	}
	if len(response.Kvs) == 0 {
		return nil, nil
	}
	return namesIn(string(response.Kvs[0].Value)), nil
}

// followMapping reads a mapping and has the listener told of its changes. Both
// come from one feed, so that no change is lost in between.
func (r *Report) followMapping(key, interfaceName string, l mappings.MappingListener) ([]string, error) {
	c, err := r.cluster.Get()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, cluster.ErrClosed
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
	m := &mapping{Follower: follower.Open(c.Watches, key, key), interfaceName: interfaceName, listener: l, cache: r.cache}
	r.mappings[key] = append(r.mappings[key], m)
	m.mu.Lock() // until the first names are known
	r.mu.Unlock()
	defer m.mu.Unlock()

	ctx, cancel := c.Waiting(r.cfg.Timeout)
	defer cancel()
	if err = m.Ready(ctx); err == nil {
		m.told = m.read(m.State())
	} else {
		m.told, err = r.withoutEtcd(key, err)
	}
	m.Start(nil, m.tell)
	return m.told, err
}

// withoutEtcd returns what the cache file has, or none, where that is no error.
func (r *Report) withoutEtcd(key string, err error) ([]string, error) {
	if !retry.CanPass(err) || r.cfg.Check {
		return nil, err
	}
	names, saved, ok := r.cache.get(key)
	switch {
	case !ok:
		logger.Warnf("[etcdv3] %s is not known yet: etcd at %v has not answered: %v", key, r.cfg.Cluster.Endpoints, err)
	default:
		logger.Warnf("[etcdv3] etcd at %v does not answer, going on with what %s was %v ago (%s): %v", r.cfg.Cluster.Endpoints, key, saved, strings.Join(names, ","), err)
	}
	return names, nil
}

// RemoveServiceAppMappingListener ends what listeners of an interface are told,
// all of them: the framework does not say which it means. Once it has returned
// none is called any more, unless it was called from inside such a call.
func (r *Report) RemoveServiceAppMappingListener(interfaceName, group string) error {
	key, err := r.mappingKey(interfaceName, group)
	if err != nil {
		return err
	}
	r.mu.Lock()
	ended := r.mappings[key]
	delete(r.mappings, key)
	r.mu.Unlock()
	for _, m := range ended {
		m.Close()
	}
	return nil
}

func (r *Report) mappingKey(interfaceName, group string) (string, error) {
	if interfaceName == "" {
		return "", errors.New("etcdv3 metadata report: the interface has no name")
	}
	return r.cfg.Root + "/" + group + "/" + interfaceName, nil
}

// mapping is what one listener is told of one interface.
type mapping struct {
	*follower.Follower
	interfaceName string
	listener      mappings.MappingListener
	cache         *cache

	mu   sync.Mutex // guards told
	told []string   // returned, or told last; sorted
}

// names returns what the listener knows.
func (m *mapping) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

// read takes the names out of a state, and into the cache.
func (m *mapping) read(s follower.State) []string {
	var names []string
	if s.Exists {
		names = namesIn(s.Value)
	}
	m.cache.set(m.Key(), names)
	return names
}

// tell is called by the follower.
func (m *mapping) tell(s follower.State) {
	m.mu.Lock()
	names := m.read(s)
	same := slices.Equal(names, m.told)
	m.told = names
	m.mu.Unlock()
	if same {
		return
	}
	logger.Infof("[etcdv3] %s is served by %d application(s): %s", m.interfaceName, len(names), strings.Join(names, ","))
	if err := m.listener.OnEvent(registry.NewServiceMappingChangedEvent(m.interfaceName, setOf(names))); err != nil {
		logger.Errorf("[etcdv3] the applications that serve %s have changed, and that failed with: %v", m.interfaceName, err)
	}
}

// namesIn returns the names of applications, sorted, each once.
func namesIn(value string) []string {
	var names []string
	for _, name := range report.DecodeServiceAppNames(value).Values() {
		names = append(names, name.(string))
	}
	slices.Sort(names)
	return names
}

// setOf makes a set of its own for each listener: the framework changes it.
func setOf(names []string) *gxset.HashSet {
	set := gxset.NewSet()
	for _, name := range names {
		set.Add(name)
	}
	return set
}
