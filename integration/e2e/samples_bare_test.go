// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/server"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// provideBare makes a server of its own, with a registry or without.
func (c *child) provideBare() error {
	opts := []server.ServerOption{server.WithServerProtocol(protocol.WithTriple(), protocol.WithPort(portOf(c.Address)))}
	for _, r := range c.Registries {
		opts = append(opts, server.WithServerRegistry(etcdOf(r)...))
	}
	srv, err := server.NewServer(opts...)
	if err != nil {
		return err
	}
	return c.serveGenerated(srv)
}

// consumeBare makes a client of its own, with a registry or an address.
func (c *child) consumeBare() error {
	var opts []client.ClientOption
	for _, r := range c.Registries {
		opts = append(opts, client.WithClientRegistry(etcdOf(r)...))
	}
	if c.Address != "" {
		opts = append(opts, client.WithClientURL("tri://"+c.Address))
	}
	cli, err := client.NewClient(opts...)
	if err != nil {
		return err
	}
	return c.callGenerated(cli)
}

// The import alone changes nothing.
func TestDirectSample(t *testing.T) {
	t.Parallel()
	at := hostAddress(t)
	c := start(t, spec{Name: "caller", Sample: bareConsumer, Address: at, References: []service{greet}})
	awaitReady(t, c)
	a := start(t, spec{Name: "a", Sample: bareProvider, Address: at, Services: []service{greet}})
	awaitView(t, c, of(c.References, a))
	requireView(t, c, of(c.References, a))
	a.terminate()
	a.awaitEnd()
}

// java_interop/protobuf-triple is direct, too; here it has etcd, and no name: it
// is of the application that dubbo-go takes for those.
func TestProtobufTripleSample(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return sampleConsumer(etcd, bareConsumer, greet)
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{sampleProvider(t, etcd, bareProvider, "a", "dubbo.io", greet)}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		a := ps[0]
		awaitSample(t, c, of(c.References, a))
		b := start(t, sampleProvider(t, etcd, bareProvider, "b", "dubbo.io", greet))
		awaitView(t, c, of(c.References, a, b))
		a = replace(t, etcd, a)
		awaitView(t, c, of(c.References, a, b))
		requireNoFailure(t, c)
	})
}
