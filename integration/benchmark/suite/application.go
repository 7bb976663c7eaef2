// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

const application = "greeter"

// instance is the i-th of an application, with metadata as the framework has it.
func instance(i int) registry.ServiceInstance {
	host := "10." + strconv.Itoa(i/65536) + "." + strconv.Itoa(i/256%256) + "." + strconv.Itoa(i%256)
	return &registry.DefaultServiceInstance{
		ID: host + ":20000", ServiceName: application, Host: host, Port: 20000, Enable: true, Healthy: true,
		Metadata: map[string]string{
			"dubbo.endpoints":                    `[{"port":20000,"protocol":"tri"}]`,
			"dubbo.metadata.revision":            "0123456789abcdef0123456789abcdef",
			"dubbo.metadata.storage-type":        "remote",
			"dubbo.metadata-service.url-params":  `{"dubbo":{"version":"1.0.0","port":"20880","protocol":"tri"}}`,
			"timestamp":                          "1700000000",
			"meta-v":                             "1.0.0",
			"dubbo.metadata-service.urls-params": "{}",
		},
	}
}

func discover(b *testing.B, c Contender, store Store) Discovery {
	b.Helper()
	d, err := c.Discover(store.Address(), noCache()...)
	if err != nil {
		b.Fatalf("open the service discovery: %v", err)
	}
	return d
}

// registerInstances measures one call after another.
func registerInstances(b *testing.B, c Contender) {
	d := discover(b, c, c.Start(b, false))
	if err := d.Register(instance(0)); err != nil {
		b.Fatal(err)
	}
	once(b, func() {
		var took distribution
		for i := range scale.Of(300, 20) {
			begin := time.Now()
			if err := d.Register(instance(1 + i)); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		took.report(b)
	})
}

// serve registers n instances.
func serve(b *testing.B, d Discovery, n int) {
	b.Helper()
	var registering errgroup.Group
	registering.SetLimit(atOnce)
	for i := range n {
		registering.Go(func() error { return d.Register(instance(i)) })
	}
	if err := registering.Wait(); err != nil {
		b.Fatal(err)
	}
}

// getInstances measures the first call of a process.
func getInstances(b *testing.B, c Contender) {
	store, n := c.Start(b, false), scale.Of(10_000, 100)
	serve(b, discover(b, c, store), n)
	once(b, func() {
		begin := time.Now()
		got := len(discover(b, c, store).GetInstances(application))
		reportTime(b, time.Since(begin), "total")
		reportArrived(b, got, n, time.Since(begin))
	})
}

// changed measures the time from a call of Register or Unregister until the
// listener has been told the list of all other instances with it, or without.
func changed(b *testing.B, c Contender) {
	store, n := c.Start(b, false), scale.Of(1000, 50)
	providing, consuming, l := discover(b, c, store), discover(b, c, store), newInstancesListener()
	serve(b, providing, n)
	_ = l.OnEvent(registry.NewServiceInstancesChangedEvent(application, consuming.GetInstances(application)))
	if err := consuming.AddListener(l); err != nil {
		b.Fatal(err)
	}
	changes := scale.Of(100, 6)
	once(b, func() {
		measureTelling(b, changes, func(i int) <-chan time.Time {
			var err error
			if i%2 == 0 {
				told := l.expect(n + 1)
				err = providing.Register(instance(n))
				if err == nil {
					return told
				}
			} else {
				told := l.expect(n)
				err = providing.Unregister(instance(n))
				if err == nil {
					return told
				}
			}
			b.Fatal(err)
			return nil
		})
	})
}

// instancesListener counts instances.
type instancesListener struct {
	names *gxset.HashSet

	mu    sync.Mutex // guards all below
	known int
	want  int
	when  chan time.Time // nil unless want is waited for
}

func newInstancesListener() *instancesListener {
	return &instancesListener{names: gxset.NewSet(application)}
}

func (l *instancesListener) expect(n int) <-chan time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want, l.when = n, make(chan time.Time, 1)
	return l.when
}

func (l *instancesListener) OnEvent(e observer.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = len(e.(*registry.ServiceInstancesChangedEvent).Instances)
	if l.when != nil && l.known == l.want {
		l.when <- time.Now()
		l.when = nil
	}
	return nil
}

func (l *instancesListener) AddListenerAndNotify(string, registry.NotifyListener) {}
func (l *instancesListener) RemoveListener(string)                                {}
func (l *instancesListener) GetServiceNames() *gxset.HashSet                      { return l.names }
func (l *instancesListener) Accept(observer.Event) bool                           { return true }
func (l *instancesListener) GetPriority() int                                     { return -1 }
func (l *instancesListener) GetEventType() reflect.Type {
	return reflect.TypeFor[*registry.ServiceInstancesChangedEvent]()
}
