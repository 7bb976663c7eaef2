// SPDX-License-Identifier: Apache-2.0

package greeter

import (
	"context"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// This file is what protoc-gen-go-triple generates for
//
//	package com.example;
//	service Greeter {
//	  rpc Greet(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	}
//
// shortened, and written by hand, so that the examples need no protoc.

// Interface is the name by which providers and consumers find each other.
const Interface = "com.example.Greeter"

// Handler is what a provider implements.
type Handler interface {
	Greet(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

// ServiceInfo tells a provider's dubbo-go how to serve a Handler.
var ServiceInfo = common.ServiceInfo{
	InterfaceName: Interface,
	ServiceType:   (*Handler)(nil),
	Methods: []common.MethodInfo{{
		Name:        "Greet",
		Type:        constant.CallUnary,
		ReqInitFunc: func() any { return new(wrapperspb.StringValue) },
		MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
			answer, err := handler.(Handler).Greet(ctx, args[0].(*wrapperspb.StringValue))
			if err != nil {
				return nil, err
			}
			return triple_protocol.NewResponse(answer), nil
		},
	}},
}

// ClientInfo tells a consumer's dubbo-go how to call the service.
var ClientInfo = client.ClientInfo{
	InterfaceName: Interface,
	MethodNames:   []string{"Greet"},
	ConnectionInjectFunc: func(c any, conn *client.Connection) {
		c.(*Client).conn = conn
	},
}

// Client calls the service.
type Client struct {
	conn *client.Connection
}

// NewClient makes a Client with the configuration of cli.
func NewClient(cli *client.Client, opts ...client.ReferenceOption) (*Client, error) {
	conn, err := cli.DialWithInfo(Interface, &ClientInfo, opts...)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Greet calls the method of that name.
func (c *Client) Greet(ctx context.Context, who string) (string, error) {
	answer := new(wrapperspb.StringValue)
	if err := c.conn.CallUnary(ctx, []any{wrapperspb.String(who)}, answer, "Greet"); err != nil {
		return "", err
	}
	return answer.GetValue(), nil
}
