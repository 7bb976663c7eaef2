// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"cmp"
	"context"
	"net"
	"os"
	"strconv"
	"strings"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// sample is a program like one of dubbo-go's samples
// (github.com/apache/dubbo-go-samples), which are what its users begin with. It
// configures what that one does, and leaves to dubbo-go's defaults what that one
// does: the level, the host's own address, the log, the shutdown. Where that one
// has ZooKeeper or Nacos it has etcd, and where that one calls once it goes on.
type sample string

const (
	plainProvider           sample = "provider" // registry/etcd, router/condition, router/script
	plainConsumer           sample = "consumer"
	grayProvider            sample = "gray provider" // router/tag, which has a plain one, too
	taggingConsumer         sample = "tagging consumer"
	staticConditionConsumer sample = "consumer with a condition" // router/static_config
	staticTagConsumer       sample = "consumer with a tag"
	wiresProvider           sample = "provider of three protocols" // rpc/multi-protocols
	wiresConsumer           sample = "consumer of three protocols"
	pojoProvider            sample = "provider of Java objects" // java_interop/non-protobuf-dubbo and -triple
	pojoConsumer            sample = "consumer of Java objects"
	bareProvider            sample = "provider without an instance" // direct, java_interop/protobuf-triple
	bareConsumer            sample = "consumer without an instance"
)

var samples = map[sample]func(*child) error{
	plainProvider:           func(c *child) error { return c.provide() },
	plainConsumer:           func(c *child) error { return c.consume() },
	grayProvider:            func(c *child) error { return c.provide(dubbo.WithTag(gray)) },
	taggingConsumer:         func(c *child) error { return c.consumeTagging() },
	staticConditionConsumer: func(c *child) error { return c.consume(staticCondition(c.Address)) },
	staticTagConsumer:       func(c *child) error { return c.consumeTagging(staticTag(c.Address)) },
	wiresProvider:           (*child).provideByThreeProtocols,
	wiresConsumer:           (*child).consumeByThreeProtocols,
	pojoProvider:            (*child).providePojos,
	pojoConsumer:            (*child).consumePojos,
	bareProvider:            (*child).provideBare,
	bareConsumer:            (*child).consumeBare,
}

// hostIP is what dubbo-go registers where no address is configured. Where it
// finds none the samples are told one, by a variable of the environment.
func hostIP() string { return cmp.Or(common.GetLocalIp(), "127.0.0.1") }

// runSample returns when the program does.
func (c *child) runSample() error {
	if common.GetLocalIp() == "" {
		_ = os.Setenv(constant.DubboIpToRegistryKey, hostIP())
	}
	if err := samples[c.Sample](c); err != nil || len(c.References) == 0 {
		return err
	}
	c.setReady()
	select {}
}

// instance has nothing but a name and etcd, beside the options.
func (c *child) instance(opts ...dubbo.InstanceOption) (*dubbo.Instance, error) {
	all := []dubbo.InstanceOption{dubbo.WithName(c.application()), dubbo.WithRegistry(etcdOf(c.Registries[0])...)}
	if c.ConfigCenter != "" {
		all = append(all, dubbo.WithConfigCenter(
			config_center.WithConfigCenter("etcdv3"),
			config_center.WithAddress(c.ConfigCenter),
		))
	}
	return dubbo.NewInstance(append(all, opts...)...)
}

func etcdOf(r registrySpec) []registry.Option {
	opts := []registry.Option{registry.WithEtcdV3(), registry.WithAddress(r.Address)}
	if r.Type == byInterface {
		opts = append(opts, registry.WithRegisterInterface())
	}
	return opts
}

// provide serves what protoc has generated.
func (c *child) provide(opts ...dubbo.InstanceOption) error {
	ins, err := c.instance(append(opts, dubbo.WithProtocol(protocol.WithTriple(), protocol.WithPort(portOf(c.Address))))...)
	if err != nil {
		return err
	}
	srv, err := ins.NewServer()
	if err != nil {
		return err
	}
	return c.serveGenerated(srv)
}

func (c *child) serveGenerated(srv *server.Server) error {
	for _, s := range c.Services {
		if err := srv.Register(&Greeter{name: c.Name, service: s}, s.serverInfo()); err != nil {
			return err
		}
	}
	return srv.Serve()
}

// consume calls what protoc has generated.
func (c *child) consume(opts ...dubbo.InstanceOption) error {
	ins, err := c.instance(opts...)
	if err != nil {
		return err
	}
	cli, err := ins.NewClient()
	if err != nil {
		return err
	}
	return c.callGenerated(cli)
}

func (c *child) callGenerated(cli *client.Client) error {
	for _, s := range c.References {
		conn, err := cli.DialWithInfo(s.Interface, s.clientInfo())
		if err != nil {
			return err
		}
		c.call(s, &greetClient{conn: conn}, nil)
	}
	return nil
}

// callBy calls a service in a way of the sample's own, which returns an answer
// that begins with the name of the provider.
func (c *child) callBy(s service, own func(context.Context) (answer string, err error)) {
	c.call(s, &greetClient{own: func(ctx context.Context) (name, id string, err error) {
		answer, err := own(ctx)
		name, _, _ = strings.Cut(answer, " ")
		return name, s.id(), err
	}}, nil)
}

func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return n
}
