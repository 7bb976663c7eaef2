// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// Bare is the floor: etcd's client alone, which does once and in the simplest
// way what no registry can do without, and keeps nothing true.
var Bare = Contender{
	Start:    Etcd,
	Open:     func(address string, _ ...string) (Registry, error) { return openBare(address) },
	Discover: func(address string, _ ...string) (Discovery, error) { return openBareDiscovery(address) },

	keepsNothing: true,
}

// bare has a client and, once it is needed, a lease.
type bare struct {
	client  *clientv3.Client
	session func() (*concurrency.Session, error)
	ctx     context.Context
	cancel  context.CancelFunc
	watches sync.WaitGroup
}

func newBare(address string) (*bare, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	b := &bare{client: client}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.session = sync.OnceValues(func() (*concurrency.Session, error) { return concurrency.NewSession(client, concurrency.WithTTL(30)) })
	return b, nil
}

func (b *bare) put(key, value string) error {
	session, err := b.session()
	if err != nil {
		return err
	}
	_, err = b.client.Put(b.ctx, key, value, clientv3.WithLease(session.Lease()))
	return err
}

func (b *bare) close() {
	b.cancel()
	b.watches.Wait()
	_ = b.client.Close()
}

// follow calls changed for each event below a prefix since a revision.
func (b *bare) follow(prefix string, since int64, changed func(*clientv3.Event)) {
	events := b.client.Watch(b.ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(since))
	b.watches.Go(func() {
		for response := range events {
			for _, event := range response.Events {
				changed(event)
			}
		}
	})
}

type bareRegistry struct{ *bare }

func openBare(address string) (Registry, error) {
	b, err := newBare(address)
	return bareRegistry{b}, err
}

func (r bareRegistry) Destroy() { r.close() }

func (r bareRegistry) Register(u *common.URL) error { return r.put(keyOf(u), "") }

func (r bareRegistry) UnRegister(u *common.URL) error {
	_, err := r.client.Delete(r.ctx, keyOf(u))
	return err
}

// Subscribe lists, parses, tells the list, and follows what comes.
func (r bareRegistry) Subscribe(u *common.URL, l registry.NotifyListener) error {
	prefix := pathOf(u.Service())
	response, err := r.client.Get(r.ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	events := make([]*registry.ServiceEvent, 0, len(response.Kvs))
	for _, kv := range response.Kvs {
		provider, err := parse(kv.Key)
		if err != nil {
			return err
		}
		events = append(events, &registry.ServiceEvent{Action: remoting.EventTypeAdd, Service: provider})
	}
	l.NotifyAll(events, func() {})
	r.follow(prefix, response.Header.Revision+1, func(e *clientv3.Event) {
		provider, err := parse(e.Kv.Key)
		if err != nil {
			return
		}
		action := remoting.EventTypeAdd
		if e.Type == clientv3.EventTypeDelete {
			action = remoting.EventTypeDel
		}
		l.Notify(&registry.ServiceEvent{Action: action, Service: provider})
	})
	return nil
}

// parse returns the URL of a key.
func parse(key []byte) (*common.URL, error) {
	raw, err := url.QueryUnescape(path.Base(string(key)))
	if err != nil {
		return nil, err
	}
	return common.NewURL(raw)
}

type bareDiscovery struct{ *bare }

func openBareDiscovery(address string) (Discovery, error) {
	b, err := newBare(address)
	return bareDiscovery{b}, err
}

func (d bareDiscovery) Destroy() error {
	d.close()
	return nil
}

func instanceKey(i registry.ServiceInstance) string {
	return fmt.Sprintf("/services/%s/%s:%d", i.GetServiceName(), i.GetHost(), i.GetPort())
}

func (d bareDiscovery) Register(i registry.ServiceInstance) error {
	value, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return d.put(instanceKey(i), string(value))
}

func (d bareDiscovery) Unregister(i registry.ServiceInstance) error {
	_, err := d.client.Delete(d.ctx, instanceKey(i))
	return err
}

func (d bareDiscovery) GetInstances(application string) []registry.ServiceInstance {
	instances, _ := d.list(application)
	return instances
}

func (d bareDiscovery) list(application string) (instances []registry.ServiceInstance, revision int64) {
	response, err := d.client.Get(d.ctx, "/services/"+application+"/", clientv3.WithPrefix())
	if err != nil {
		return nil, 0
	}
	for _, kv := range response.Kvs {
		i := &registry.DefaultServiceInstance{}
		if json.Unmarshal(kv.Value, i) == nil {
			instances = append(instances, i)
		}
	}
	return instances, response.Header.Revision
}

// AddListener tells the list of all at each change, as the framework wants it.
func (d bareDiscovery) AddListener(l registry.ServiceInstancesChangedListener) error {
	for _, name := range l.GetServiceNames().Values() {
		application := name.(string)
		instances, revision := d.list(application)
		known := map[string]registry.ServiceInstance{}
		for _, i := range instances {
			known[instanceKey(i)] = i
		}
		d.follow("/services/"+application+"/", revision+1, func(e *clientv3.Event) {
			key := string(e.Kv.Key)
			if e.Type == clientv3.EventTypeDelete {
				delete(known, key)
			} else if i := (&registry.DefaultServiceInstance{}); json.Unmarshal(e.Kv.Value, i) == nil {
				known[key] = i
			}
			all := make([]registry.ServiceInstance, 0, len(known))
			for _, i := range known {
				all = append(all, i)
			}
			_ = l.OnEvent(registry.NewServiceInstancesChangedEvent(application, all))
		})
	}
	return nil
}
