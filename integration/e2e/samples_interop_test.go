// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/server"
	hessian2 "github.com/apache/dubbo-go-hessian2"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// Question is an object of a Java class, as protoc-gen-go-dubbo makes it.
type Question struct {
	Name  string
	Marks []int32
}

// JavaClassName is the name of the class.
func (*Question) JavaClassName() string { return "org.e2e.interop.Question" }

// Answer is another one.
type Answer struct {
	Greeting string
	Sum      int32
}

// JavaClassName is the name of the class.
func (*Answer) JavaClassName() string { return "org.e2e.interop.Answer" }

// Answerer serves what Java would serve. dubbo-go wants the type exported.
type Answerer struct{ name string }

// Ask returns the name of the process, the name in the question and the sum of
// its marks.
func (a *Answerer) Ask(_ context.Context, q *Question) (*Answer, error) {
	answer := &Answer{Greeting: a.name + " " + q.Name}
	for _, mark := range q.Marks {
		answer.Sum += mark
	}
	return answer, nil
}

type asker interface {
	Ask(context.Context, *Question) (*Answer, error)
}

// The services of the two: Java's methods begin with a small letter by the dubbo
// protocol, and protoc's with a capital by Triple.
var (
	askByDubbo  = service{Interface: "org.e2e.interop.Ask", Protocol: hessian}
	askByTriple = service{Interface: "org.e2e.interop.TripleAsk"}
)

func askMethod(s service) string {
	if s.Protocol == hessian {
		return "ask"
	}
	return "Ask"
}

// providePojos serves one of the services.
func (c *child) providePojos() error {
	hessian2.RegisterPOJO(new(Question))
	hessian2.RegisterPOJO(new(Answer))
	s := c.Services[0]
	by := protocol.WithTriple()
	if s.Protocol == hessian {
		by = protocol.WithDubbo()
	}
	ins, err := c.instance(dubbo.WithProtocol(by, protocol.WithPort(portOf(c.Address))))
	if err != nil {
		return err
	}
	srv, err := ins.NewServer(server.WithServerSerialization(constant.Hessian2Serialization))
	if err != nil {
		return err
	}
	info := &common.ServiceInfo{
		InterfaceName: s.Interface,
		ServiceType:   (*asker)(nil),
		Methods: []common.MethodInfo{{
			Name:        askMethod(s),
			Type:        constant.CallUnary,
			ReqInitFunc: func() any { return new(Question) },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				answer, err := handler.(asker).Ask(ctx, args[0].(*Question))
				if err != nil || s.Protocol == hessian {
					return answer, err
				}
				return triple_protocol.NewResponse(answer), nil
			},
		}},
	}
	if err := srv.Register(&Answerer{c.Name}, info); err != nil {
		return err
	}
	return srv.Serve()
}

// consumePojos calls one of the services, found in etcd or, as the samples do,
// at an address that is configured.
func (c *child) consumePojos() error {
	hessian2.RegisterPOJO(new(Question))
	hessian2.RegisterPOJO(new(Answer))
	s := c.References[0]
	opts := []client.ClientOption{client.WithClientSerialization(constant.Hessian2Serialization)}
	if s.Protocol == hessian {
		opts = append(opts, client.WithClientProtocolDubbo())
	} else {
		opts = append(opts, client.WithClientProtocolTriple())
	}
	if c.Address != "" {
		opts = append(opts, client.WithClientURL(c.Address))
	}
	ins, err := c.instance()
	if err != nil {
		return err
	}
	cli, err := ins.NewClient(opts...)
	if err != nil {
		return err
	}
	conn, err := cli.DialWithInfo(s.Interface, &client.ClientInfo{InterfaceName: s.Interface, MethodNames: []string{askMethod(s)}})
	if err != nil {
		return err
	}
	c.callBy(s, func(ctx context.Context) (string, error) {
		answer := new(Answer)
		if err := conn.CallUnary(ctx, []any{&Question{Name: "you", Marks: []int32{3, 4}}}, answer, askMethod(s)); err != nil {
			return "", err
		}
		if answer.Sum != 7 {
			return "", fmt.Errorf("the answer is %+v, want a sum of 7", answer)
		}
		return answer.Greeting, nil
	})
	return nil
}

// Those without protobuf, java_interop/non-protobuf-dubbo and -triple.
func TestJavaObjectsSamples(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]service{"dubbo": askByDubbo, "triple": askByTriple} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
				return sampleConsumer(etcd, pojoConsumer, s)
			}, func(t *testing.T, etcd *etcdtest.Server) []spec {
				return []spec{sampleProvider(t, etcd, pojoProvider, "a", "interop", s)}
			}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
				a := ps[0]
				awaitSample(t, c, of(c.References, a))
				straight := sampleConsumer(etcd, pojoConsumer, s)
				straight.Address = a.Address // as the samples are
				awaitSample(t, start(t, straight), of(c.References, a))

				b := start(t, sampleProvider(t, etcd, pojoProvider, "b", "interop", s))
				awaitView(t, c, of(c.References, a, b))
				a.terminate()
				a.awaitEnd()
				awaitView(t, c, of(c.References, b))
				a = start(t, a.spec)
				awaitView(t, c, of(c.References, a, b))
				requireNoFailure(t, c)
			})
		})
	}
}
