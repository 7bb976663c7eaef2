// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/filter/generic"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	hessian "github.com/apache/dubbo-go-hessian2"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The services of java/src/main/java/org/interop: Plain has no IDL and is
// serialized by Hessian, Proto is of protobuf messages.
const (
	plainInterface = "org.interop.Plain"
	protoInterface = "org.interop.Proto"
)

// Person is org.interop.Person.
type Person struct {
	Name string
	Age  int32
}

// JavaClassName is by what Hessian knows it.
func (*Person) JavaClassName() string { return "org.interop.Person" }

func init() { hessian.RegisterPOJO(&Person{}) }

// sleep takes 300 ms if a service is asked to "sleep 300".
func sleep(who string) {
	if text, ok := strings.CutPrefix(who, "sleep "); ok {
		ms, _ := strconv.Atoi(text)
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
}

// PlainService serves Plain. dubbo-go wants the type exported.
type PlainService struct{ by, id string }

// Greet answers by whom and as what it was called, and with what.
func (s *PlainService) Greet(_ context.Context, who string) (string, error) {
	sleep(who)
	return s.by + " " + who, nil
}

// Older returns somebody who is that many years older.
func (s *PlainService) Older(_ context.Context, who *Person, years int32) (*Person, error) {
	return &Person{who.Name, who.Age + years}, nil
}

// Reference is by what dubbo-go tells the services of a server apart.
func (s *PlainService) Reference() string { return s.id }

// ProtoService serves Proto.
type ProtoService struct{ by, id string }

// Greet answers by whom and as what it was called, and with what.
func (s *ProtoService) Greet(_ context.Context, who *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	sleep(who.GetValue())
	return wrapperspb.String(s.by + " " + who.GetValue()), nil
}

// Reference is by what dubbo-go tells the services of a server apart.
func (s *ProtoService) Reference() string { return s.id }

type protoHandler interface {
	Greet(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

// protoInfo is what protoc-gen-go-triple generates.
func protoInfo() *common.ServiceInfo {
	return &common.ServiceInfo{
		InterfaceName: protoInterface,
		ServiceType:   (*protoHandler)(nil),
		Methods: []common.MethodInfo{{
			Name:        "Greet",
			Type:        constant.CallUnary,
			ReqInitFunc: func() any { return new(wrapperspb.StringValue) },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				answer, err := handler.(protoHandler).Greet(ctx, args[0].(*wrapperspb.StringValue))
				if err != nil {
					return nil, err
				}
				return triple_protocol.NewResponse(answer), nil
			},
		}},
	}
}

// reference is one to either service.
type reference interface {
	greet(ctx context.Context, who string) (string, error)
	older(ctx context.Context) (string, error)
}

func newReference(c *client.Client, name string, isGeneric bool, serialization string, opts []client.ReferenceOption) (reference, error) {
	switch {
	case isGeneric:
		service, err := c.NewGenericService(name, opts...)
		return genericReference{service}, err
	case name == protoInterface:
		conn, err := c.DialWithInfo(name, &client.ClientInfo{InterfaceName: name, MethodNames: []string{"Greet"}},
			append(opts, client.WithSerialization(constant.ProtobufSerialization))...)
		return protoReference{conn}, err
	default:
		if serialization == "" {
			serialization = constant.Hessian2Serialization
		}
		withoutIDL := client.WithIDL(constant.NONIDL) //nolint:staticcheck // v3.3.2 has no other way to say so in Dial
		conn, err := c.Dial(name, append(opts, withoutIDL, client.WithSerialization(serialization))...)
		return plainReference{conn}, err
	}
}

type plainReference struct{ conn *client.Connection }

func (r plainReference) greet(ctx context.Context, who string) (answer string, err error) {
	err = r.conn.CallUnary(ctx, []any{who}, &answer, "greet")
	return answer, err
}

func (r plainReference) older(ctx context.Context) (string, error) {
	answer := new(Person)
	err := r.conn.CallUnary(ctx, []any{&Person{"Ana", 40}, int32(2)}, answer, "older")
	return fmt.Sprint(answer.Name, " ", answer.Age), err
}

type protoReference struct{ conn *client.Connection }

func (r protoReference) greet(ctx context.Context, who string) (string, error) {
	answer := new(wrapperspb.StringValue)
	err := r.conn.CallUnary(ctx, []any{wrapperspb.String(who)}, answer, "Greet")
	return answer.GetValue(), err
}

func (protoReference) older(context.Context) (string, error) {
	return "", fmt.Errorf("%s has no such method", protoInterface)
}

type genericReference struct{ service *generic.GenericService }

func (r genericReference) greet(ctx context.Context, who string) (string, error) {
	answer, err := r.service.Invoke(ctx, "greet", []string{"java.lang.String"}, []hessian.Object{who})
	text, _ := answer.(string)
	return text, err
}

func (r genericReference) older(ctx context.Context) (string, error) {
	ana := map[string]hessian.Object{"name": "Ana", "age": int32(40)}
	answer, err := r.service.Invoke(ctx, "older", []string{"org.interop.Person", "int"}, []hessian.Object{ana, int32(2)})
	if err != nil {
		return "", err
	}
	fields, ok := answer.(map[any]any)
	if !ok {
		return "", fmt.Errorf("it answers %#v", answer)
	}
	return fmt.Sprint(fields["name"], " ", fields["age"]), nil
}
