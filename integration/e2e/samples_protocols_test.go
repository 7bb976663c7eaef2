// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/server"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const jsonrpc wire = "jsonrpc"

// say is a service without generated code, called by two protocols.
var (
	sayByDubbo   = service{Interface: "org.e2e.Say", Protocol: hessian}
	sayByJSONRPC = service{Interface: "org.e2e.Say", Protocol: jsonrpc}
)

// Sayer answers in plain Go types. dubbo-go wants the type exported.
type Sayer struct{ name string }

// Say returns the name of the process and what it was told.
func (s *Sayer) Say(one, two, three string) (string, error) {
	return s.name + " " + one + two + three, nil
}

// provideByThreeProtocols serves each service with each protocol, at a port of
// each.
func (c *child) provideByThreeProtocols() error {
	ins, err := c.instance(
		dubbo.WithProtocol(protocol.WithTriple(), protocol.WithPort(portOf(c.Address))),
		dubbo.WithProtocol(protocol.WithDubbo(), protocol.WithPort(portOf(c.Also[0].Address))),
		dubbo.WithProtocol(protocol.WithJSONRPC(), protocol.WithPort(portOf(c.Also[1].Address))),
	)
	if err != nil {
		return err
	}
	srv, err := ins.NewServer()
	if err != nil {
		return err
	}
	if err := srv.Register(&Greeter{name: c.Name, service: greet}, greet.serverInfo()); err != nil {
		return err
	}
	if err := srv.Register(&Sayer{c.Name}, &common.ServiceInfo{}, server.WithInterface(sayByDubbo.Interface)); err != nil {
		return err
	}
	return srv.Serve()
}

// consumeByThreeProtocols has a client for each protocol.
func (c *child) consumeByThreeProtocols() error {
	ins, err := c.instance()
	if err != nil {
		return err
	}
	for _, s := range c.References {
		var opts []client.ClientOption
		switch s.Protocol {
		case triple:
			opts = append(opts, client.WithClientProtocolTriple())
		case hessian:
			opts = append(opts, client.WithClientProtocolDubbo(), client.WithClientSerialization(constant.Hessian2Serialization))
		case jsonrpc:
			opts = append(opts, client.WithClientProtocolJsonRPC(), client.WithClientSerialization(constant.JSONSerialization))
		}
		cli, err := ins.NewClient(opts...)
		if err != nil {
			return err
		}
		if s.Protocol == triple {
			conn, err := cli.DialWithInfo(s.Interface, s.clientInfo())
			if err != nil {
				return err
			}
			c.call(s, &greetClient{conn: conn}, nil)
			continue
		}
		conn, err := cli.Dial(s.Interface)
		if err != nil {
			return err
		}
		c.callBy(s, func(ctx context.Context) (answer string, err error) {
			if err = conn.CallUnary(ctx, []any{"one", "two", string(s.Protocol)}, &answer, "Say"); err != nil {
				return "", err
			}
			if want := "onetwo" + string(s.Protocol); !strings.HasSuffix(answer, want) {
				return "", fmt.Errorf("the answer is %q, want ...%s", answer, want)
			}
			return answer, nil
		})
	}
	return nil
}

// threeProtocols is a provider of them.
func threeProtocols(t *testing.T, etcd *etcdtest.Server, name string) spec {
	s := sampleProvider(t, etcd, wiresProvider, name, "wires", greet)
	s.Also = []endpoint{{Protocol: hessian, Address: hostAddress(t)}, {Protocol: jsonrpc, Address: hostAddress(t)}}
	return s
}

// dubbo-go serves the metadata at the port of the dubbo protocol, where there is
// one: who asks for it shares a connection with the calls.
func TestMultiProtocolsSample(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return sampleConsumer(etcd, wiresConsumer, greet, sayByDubbo, sayByJSONRPC)
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{threeProtocols(t, etcd, "a")}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		a := ps[0]
		awaitInstances(t, etcd, "wires", 3)
		awaitSample(t, c, of(c.References, a))
		b := start(t, threeProtocols(t, etcd, "b"))
		awaitView(t, c, of(c.References, a, b))
		a.terminate()
		a.awaitEnd()
		awaitView(t, c, of(c.References, b))
		a = start(t, a.spec)
		awaitView(t, c, of(c.References, a, b))
		requireNoFailure(t, c)
		b.kill() // and back before anybody notices
		b = start(t, b.spec)
		awaitView(t, c, of(c.References, a, b))
		requireView(t, c, of(c.References, a, b))
	})
}
