// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// service is what a provider serves or a consumer refers to.
type service struct {
	Interface      string
	Group, Version string `json:",omitempty"`
	Protocol       wire   `json:",omitempty"` // what it is called with
	At             string `json:",omitempty"` // of a provider: the only address where it serves it
	ProvidedBy     string `json:",omitempty"` // of a reference: the applications, with commas
	Alias          string `json:",omitempty"` // of a reference: tells two of one service apart
}

// greet is the service of the tests that need only one.
var greet = service{Interface: "org.e2e.Greet"}

// id is how a service is called in answers.
func (s service) id() string {
	id := s.Group + "/" + s.Interface + ":" + s.Version
	if s.Protocol != triple {
		id += ":" + string(s.Protocol)
	}
	return id
}

// reference is how a reference to it is called in tallies.
func (s service) reference() string {
	if s.Alias == "" {
		return s.id()
	}
	return s.id() + "#" + s.Alias
}

// Greeter serves one service. It answers with the name of the process and the
// service that was called. dubbo-go wants the type exported.
type Greeter struct {
	name    string
	service service
	delay   time.Duration
}

func (g *Greeter) Greet(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	time.Sleep(g.delay)
	return wrapperspb.String(g.name + " " + g.service.id()), nil
}

// Reference is by what dubbo-go tells the services of a server apart.
func (g *Greeter) Reference() string { return g.service.id() }

// PlainGreeter is a Greeter for the dubbo protocol, which knows no protobuf.
type PlainGreeter struct{ greeter Greeter }

func (g *PlainGreeter) Greet(context.Context, string) (string, error) {
	time.Sleep(g.greeter.delay)
	return g.greeter.name + " " + g.greeter.service.id(), nil
}

// Reference is by what dubbo-go tells the services of a server apart.
func (g *PlainGreeter) Reference() string { return g.greeter.Reference() }

type greetHandler interface {
	Greet(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

// What follows is what protoc-gen-go-triple generates for a service, but for
// any interface name.

func (s service) serverInfo() *common.ServiceInfo {
	return &common.ServiceInfo{
		InterfaceName: s.Interface,
		ServiceType:   (*greetHandler)(nil),
		Methods: []common.MethodInfo{{
			Name:        "Greet",
			Type:        constant.CallUnary,
			ReqInitFunc: func() any { return new(wrapperspb.StringValue) },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				answer, err := handler.(greetHandler).Greet(ctx, args[0].(*wrapperspb.StringValue))
				if err != nil {
					return nil, err
				}
				return triple_protocol.NewResponse(answer), nil
			},
		}},
	}
}

func (s service) clientInfo() *client.ClientInfo {
	return &client.ClientInfo{
		InterfaceName:        s.Interface,
		MethodNames:          []string{"Greet"},
		ConnectionInjectFunc: func(c any, conn *client.Connection) { c.(*greetClient).conn = conn },
	}
}

type greetClient struct {
	conn  *client.Connection
	plain bool // it calls a PlainGreeter
	own   call // makes the calls, instead of all that; nil: nobody else does
}

// call calls a service, and returns the name of the provider that answered, and
// the service.
type call func(context.Context) (name, id string, err error)

// greet returns the name of the provider that answered, and the service.
func (c *greetClient) greet(ctx context.Context) (name, id string, err error) {
	if c.own != nil {
		return c.own(ctx)
	}
	var answer string
	if c.plain {
		err = c.conn.CallUnary(ctx, []any{"world"}, &answer, "Greet")
	} else {
		message := new(wrapperspb.StringValue)
		err = c.conn.CallUnary(ctx, []any{wrapperspb.String("world")}, message, "Greet")
		answer = message.GetValue()
	}
	if err != nil {
		return "", "", err
	}
	name, id, _ = strings.Cut(answer, " ")
	return name, id, nil
}
