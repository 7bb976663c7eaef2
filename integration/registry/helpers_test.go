// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// patience is how long a test waits for what has to happen, on a machine that
// is busy with something else.
const patience = 30 * time.Second

// newRegistry asks the framework for the registry at an address; params are
// pairs of a name and a value.
func newRegistry(t testing.TB, address string, params ...string) registry.Registry {
	t.Helper()
	r, err := extension.GetRegistry("etcdv3", registryURL(t, address, params...))
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	return r
}

func registryURL(t testing.TB, address string, params ...string) *common.URL {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	u, err := common.NewURL("etcdv3://"+address, common.WithParams(values), common.WithLocation(address))
	require.NoError(t, err)
	return u
}

// provider is a URL as the framework registers it.
func provider(service, hostPort string, params ...string) *common.URL {
	return serviceURL("tri", service, hostPort, append([]string{
		constant.RegistryRoleKey, "3", constant.SideKey, "provider", constant.TimestampKey, "1700000000",
	}, params...))
}

// consumer is a URL as the framework registers and subscribes it.
func consumer(service string, params ...string) *common.URL {
	return serviceURL("tri", service, "", append([]string{
		constant.RegistryRoleKey, "0", constant.SideKey, "consumer", constant.TimestampKey, "1700000000",
	}, params...))
}

func serviceURL(protocol, service, hostPort string, params []string) *common.URL {
	ip, port, _ := strings.Cut(hostPort, ":")
	values := url.Values{constant.InterfaceKey: {service}}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	return common.NewURLWithOptions(common.WithProtocol(protocol), common.WithIp(ip), common.WithPort(port),
		common.WithPath(service), common.WithMethods([]string{"Greet"}), common.WithParams(values))
}

// keys returns the keys below a prefix, decoded, and their leases.
func keys(t testing.TB, client *clientv3.Client, prefix string) map[string]clientv3.LeaseID {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	require.NoError(t, err)
	found := map[string]clientv3.LeaseID{}
	for _, kv := range response.Kvs {
		key, err := url.QueryUnescape(string(kv.Key))
		require.NoError(t, err)
		found[key] = clientv3.LeaseID(kv.Lease)
	}
	return found
}

// listener is a framework listener that keeps what it has been told.
type listener struct {
	mu       sync.Mutex
	urls     map[string]*common.URL // by the key of the event
	alls     int                    // calls of NotifyAll
	singles  []string               // calls of Notify: "add 10.0.0.1:20000"
	inside   int                    // calls under way
	faults   []string
	onNotify func(*registry.ServiceEvent)
}

func newListener() *listener { return &listener{urls: map[string]*common.URL{}} }

func (l *listener) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inside++; l.inside > 1 {
		l.faults = append(l.faults, "called by two goroutines at once")
	}
}

func (l *listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
}

func (l *listener) Notify(e *registry.ServiceEvent) {
	l.enter()
	defer l.leave()
	if l.onNotify != nil {
		l.onNotify(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.urls[e.Key()]
	switch e.Action {
	case remoting.EventTypeAdd:
		if known {
			l.faults = append(l.faults, "add of what is known: "+e.Key())
		}
		l.urls[e.Key()] = e.Service
	case remoting.EventTypeUpdate:
		if !known {
			l.faults = append(l.faults, "update of what is unknown: "+e.Key())
		}
		l.urls[e.Key()] = e.Service
	case remoting.EventTypeDel:
		if !known {
			l.faults = append(l.faults, "delete of what is unknown: "+e.Key())
		}
		delete(l.urls, e.Key())
	}
	l.singles = append(l.singles, e.Action.String()+" "+e.Service.Address())
}

func (l *listener) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	l.enter()
	defer l.leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alls++
	l.urls = map[string]*common.URL{}
	for _, e := range events {
		if e.Action == remoting.EventTypeDel {
			l.faults = append(l.faults, "delete in a list: "+e.Key())
		}
		l.urls[e.Key()] = e.Service
	}
}

// addresses returns the addresses known, sorted.
func (l *listener) addresses() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for u := range maps.Values(l.urls) {
		all = append(all, u.Address())
	}
	slices.Sort(all)
	return all
}

func (l *listener) counts() (alls int, singles []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alls, slices.Clone(l.singles)
}

// requireAddresses waits until the listener knows exactly these addresses.
func (l *listener) requireAddresses(t testing.TB, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	ok := eventually(func() bool {
		got = l.addresses()
		return slices.Equal(got, want)
	})
	require.True(t, ok, "the listener knows %s, want %s", abbreviated(got), abbreviated(want))
	l.requireNoFaults(t)
}

func (l *listener) requireNoFaults(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.faults)
}

func eventually(cond func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

func abbreviated(s []string) string {
	if len(s) > 10 {
		return fmt.Sprintf("%d: %v...", len(s), s[:10])
	}
	return fmt.Sprintf("%d: %v", len(s), s)
}
