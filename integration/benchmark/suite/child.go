// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	childVariable = "BENCH_CHILD"
	childPrefix   = "report: "
	references    = 20
)

// child is what a child process is: an application of dubbo-go.
type child struct {
	Registry string // its name; empty: none, the provider's address is known
	Store    string // host:port
	Provider string // host:port
	Serve    bool   // it is the provider
}

// childReport is how long a consumer needed, since its start.
type childReport struct {
	Ended                  time.Time
	References, First, All time.Duration // since the process runs, then since it was started
}

// since counts from the start of the process as its parent knows it.
func (r childReport) since(begin time.Time) childReport {
	before := r.Ended.Sub(begin) - r.All
	r.References += before
	r.First += before
	r.All += before
	return r
}

// Main is the TestMain of a contender's package: the test binary is its own
// child.
func Main(m *testing.M) {
	encoded := os.Getenv(childVariable)
	if encoded == "" {
		os.Exit(m.Run())
	}
	go func() { // stdin ends with the parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var c child
	err := json.Unmarshal([]byte(encoded), &c)
	if err == nil {
		err = c.run(time.Now())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (c child) run(begin time.Time) error {
	host, port, err := net.SplitHostPort(c.Provider)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	opts := []dubbo.InstanceOption{dubbo.WithName("caller"), dubbo.WithLogger(logger.WithLevel("error"))}
	if c.Serve {
		opts = append(opts, dubbo.WithName("callee"), dubbo.WithProtocol(protocol.WithTriple(), protocol.WithIp(host), protocol.WithPort(n)))
	}
	if c.Registry != "" {
		opts = append(opts, dubbo.WithRegistry(registry.WithRegistry(c.Registry), registry.WithAddress(c.Store)))
	}
	instance, err := dubbo.NewInstance(opts...)
	if err != nil {
		return err
	}
	if c.Serve {
		return serveAll(instance)
	}
	report, err := c.callAll(instance, begin)
	if err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	fmt.Println(childPrefix + string(text))
	select {}
}

// Greeter serves one service. dubbo-go wants the type exported.
type Greeter struct{ name string }

// Greet answers.
func (g *Greeter) Greet(_ context.Context, to *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return wrapperspb.String("hello, " + to.GetValue()), nil
}

// Reference is by what dubbo-go tells the services of a server apart.
func (g *Greeter) Reference() string { return g.name }

type greetHandler interface {
	Greet(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

func serveAll(instance *dubbo.Instance) error {
	srv, err := instance.NewServer()
	if err != nil {
		return err
	}
	for i := range references {
		err := srv.Register(&Greeter{serviceName(i)}, &common.ServiceInfo{ // as protoc-gen-go-triple has it
			InterfaceName: serviceName(i),
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
		})
		if err != nil {
			return err
		}
	}
	if err := srv.Serve(); err != nil {
		return err
	}
	select {}
}

// callAll makes all references, one after another as an application does, and
// calls each until it is answered.
func (c child) callAll(instance *dubbo.Instance, begin time.Time) (report childReport, err error) {
	opts := []client.ClientOption{client.WithClientNoCheck()}
	if c.Registry == "" {
		opts = append(opts, client.WithClientURL("tri://"+c.Provider))
	}
	cli, err := instance.NewClient(opts...)
	if err != nil {
		return report, err
	}
	made := make([]*client.Connection, references)
	for i := range made {
		made[i], err = cli.DialWithInfo(serviceName(i), &client.ClientInfo{InterfaceName: serviceName(i), MethodNames: []string{"Greet"}},
			client.WithProtocolTriple(), client.WithSerialization(constant.ProtobufSerialization))
		if err != nil {
			return report, err
		}
	}
	report.References = time.Since(begin)
	for i, conn := range made {
		answer := new(wrapperspb.StringValue)
		_, ok := testkit.Poll(patience, time.Millisecond, func() bool {
			err = conn.CallUnary(context.Background(), []any{wrapperspb.String("world")}, answer, "Greet")
			return err == nil
		})
		if !ok {
			return report, fmt.Errorf("%s is not called: %w", serviceName(i), err)
		}
		if i == 0 {
			report.First = time.Since(begin)
		}
	}
	report.Ended, report.All = time.Now(), time.Since(begin)
	return report, nil
}
