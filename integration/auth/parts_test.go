// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// greeter is the interface of the page.
const greeter = "com.example.Greeter"

// part is what one does as a user of etcd, from its start to its end. Its methods
// return what the framework is returned, and an error if somebody is not told what he
// should be.
type part struct {
	testing.TB
	etcd *etcdtest.Server
	root *clientv3.Client
	user string

	shown bool // the consumer was, to dubbo-admin
}

func (p *part) params(more ...string) []string {
	return testkit.As(p.user, testkit.Password, append(more, "file-cache", "false", "endpoints.sync", "true")...)
}

// hears puts a key, and waits for a listener to be told of it.
func (p *part) hears(key, value string, told func() bool) error {
	p.Helper()
	testkit.Put(p, p.root, key, value)
	defer testkit.Delete(p, p.root, key)
	if !testkit.Eventually(told) {
		return fmt.Errorf("%w of %s", errMissed, key)
	}
	return nil
}

// subscribes does what the framework does, and waits for the listener to be told of a
// key.
func (p *part) subscribes(r registry.Registry, u *common.URL, key string) error {
	p.Helper()
	l := &testkit.Listener{}
	err := r.LoadSubscribeInstances(u, l)
	if err == nil {
		err = r.Subscribe(u, l)
	}
	if err != nil {
		return err
	}
	known := len(l.URLs())
	return p.hears(key, "", func() bool { return len(l.URLs()) == known+1 })
}

func (p *part) open() registry.Registry {
	r, err := testkit.OpenRegistry(p.etcd.Endpoint(), p.params()...)
	if err != nil {
		p.Fatal(err)
	}
	return r
}

var (
	override = testkit.ServiceURL("override", greeter, "0.0.0.0:0", "category", "configurators", "dynamic", "false", "enabled", "true", "timeout", "2500")
	aboutAll = "admin://127.0.0.1/*?interface=*&group=*&version=*&classifier=*&enabled=*&check=false&category=providers,consumers,routers,configurators"
)

func keyIn(category string, u *common.URL) string {
	return "/dubbo/" + greeter + "/" + category + "/" + url.QueryEscape(u.String())
}

func (p *part) provideInterface() error {
	r := p.open()
	defer r.Destroy()
	err := r.Register(testkit.Provider(greeter, testkit.Address(1), "application", "greeter"))
	if n := len(testkit.Keys(p, p.root, "/dubbo/"+greeter+"/providers/")); err == nil && n != 1 {
		err = fmt.Errorf("there are %d providers", n)
	}
	overrides := testkit.ServiceURL("provider", greeter, testkit.Address(1), "category", "configurators", "check", "false", "side", "provider")
	return errors.Join(err, p.subscribes(r, overrides, keyIn("configurators", override)))
}

func (p *part) callInterface() error {
	r := p.open()
	defer r.Destroy()
	err := r.Register(testkit.Consumer(greeter, "application", "shop"))
	p.shown = len(testkit.Keys(p, p.root, "/dubbo/"+greeter+"/consumers/")) == 1
	return errors.Join(err, p.subscribes(r, testkit.Consumer(greeter), keyIn("providers", testkit.Provider(greeter, testkit.Address(2)))))
}

func (p *part) show() error {
	r := p.open()
	defer r.Destroy()
	u, err := common.NewURL(aboutAll)
	if err != nil {
		return err
	}
	if err := p.subscribes(r, u, keyIn("providers", testkit.Provider(greeter, testkit.Address(2)))); err != nil {
		return err
	}
	client := p.etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = p.user, testkit.Password })
	hub := listener.NewHub(listener.Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }})
	defer hub.Close()
	instances := hub.Open("/services/")
	defer instances.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return instances.Ready(ctx)
}

func (p *part) provideApplication() error {
	m := testkit.OpenReport(p, p.etcd.Endpoint(), p.params()...)
	d := testkit.NewDiscovery(p, p.etcd.Endpoint(), p.params()...)
	instance := &registry.DefaultServiceInstance{ServiceName: "greeter", Host: "10.0.0.1", Port: 20000, Enable: true, Healthy: true}
	err := errors.Join(
		m.RegisterServiceAppMapping(greeter, "mapping", "greeter"),
		m.PublishAppMetadata("greeter", "r1", info.NewMetadataInfo("greeter", "")),
		d.Register(instance),
	)
	if err == nil {
		_, err = m.ListAppRevisions("greeter")
	}
	if n := len(testkit.Keys(p, p.root, "/services/greeter/")); err == nil && n != 1 {
		err = fmt.Errorf("there are %d instances", n)
	}
	return errors.Join(err, d.Unregister(instance), d.Destroy(), closed(m, err))
}

// closed closes what has nothing left to write, unless it was refused.
func closed(c any, refused error) error {
	err := c.(io.Closer).Close()
	if refused != nil {
		return nil
	}
	return err
}

func (p *part) callApplication() error {
	m := testkit.OpenReport(p, p.etcd.Endpoint(), p.params()...)
	d := testkit.NewDiscovery(p, p.etcd.Endpoint(), p.params()...)
	testkit.Put(p, p.root, "/dubbo/greeter/r1", "{}")
	names, instances := &mappings{}, &instances{application: "greeter"}
	_, first := m.GetServiceAppMapping(greeter, "mapping", names)
	_, second := m.GetServiceAppMapping(greeter, "mapping", nil)
	_, third := m.GetAppMetadata("greeter", "r1")
	before := logtest.Now()
	d.GetInstances("greeter") // has no error to return
	err := errors.Join(first, second, third, d.AddListener(instances))
	for _, line := range before.Lines("instances of greeter", "permission denied") {
		err = errors.Join(err, errors.New(line))
	}
	if err == nil {
		err = p.hears("/dubbo/mapping/"+greeter, "greeter,another", func() bool { return slices.Contains(names.known(), "another") })
	}
	if err == nil {
		err = p.hears("/services/greeter/10.0.0.9:9", `{"serviceName":"greeter","host":"10.0.0.9","port":9}`, func() bool { return slices.Contains(instances.known(), 9) })
	}
	return errors.Join(err, d.Destroy(), closed(m, err))
}

func (p *part) configureGreeter() error {
	return p.configure("greeter.yaml", "greeter.configurators", greeter+"::.configurators")
}

func (p *part) configureShop() error {
	return p.configure("shop.yaml", "shop.configurators", "shop.condition-router", greeter+"::.condition-router", "greeter.tag-router")
}

func (p *part) configure(file string, keys ...string) error {
	c, err := testkit.OpenCenter(p.etcd.Endpoint(), p.params()...)
	if err != nil {
		return err
	}
	_, err = c.GetProperties(file, config_center.WithGroup("services"))
	for _, key := range keys {
		_, refused := c.GetRule(key)
		err = errors.Join(err, refused)
	}
	l := &rules{}
	if err == nil {
		c.AddListener(file, l, config_center.WithGroup("services"))
		err = p.hears("/dubbo/config/services/"+file, file, func() bool { return slices.Contains(l.All(), file) })
	}
	for _, key := range keys {
		if err == nil {
			c.AddListener(key, l)
			err = p.hears("/dubbo/config/dubbo/"+key, key, func() bool { return slices.Contains(l.All(), key) })
		}
	}
	return errors.Join(err, closed(c, err))
}

func (p *part) operate() error {
	r := p.open()
	defer r.Destroy()
	c, err := testkit.OpenCenter(p.etcd.Endpoint(), p.params()...)
	if err != nil {
		return err
	}
	_, listed := c.GetConfigKeysByGroup("dubbo")
	err = errors.Join(
		r.Register(override),
		r.UnRegister(override),
		r.Register(testkit.ServiceURL("condition", greeter, "0.0.0.0:0", "category", "routers", "dynamic", "false", "rule", "x")),
		c.PublishConfig("greeter.tag-router", "dubbo", "x"),
		c.RemoveConfig("greeter.tag-router", "dubbo"),
		c.PublishConfig("greeter.yaml", "services", "x"),
		listed,
	)
	return errors.Join(err, closed(c, err))
}
