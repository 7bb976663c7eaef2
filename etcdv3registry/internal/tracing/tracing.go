// SPDX-License-Identifier: Apache-2.0

// Package tracing makes spans of the requests to etcd, by OpenTelemetry's conventions for
// calls of gRPC.
//
// Streams have none: those of watches, and of keep-alives, are as old as the process.
package tracing

import (
	"context"
	"net"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Scope is the name of the instrumentation.
const Scope = "github.com/dubbo-go-contrib/registry-etcdv3"

// The attributes of https://opentelemetry.io/docs/specs/semconv/rpc/grpc/.
const (
	rpcSystem     = attribute.Key("rpc.system")
	rpcService    = attribute.Key("rpc.service")
	rpcMethod     = attribute.Key("rpc.method")
	rpcStatus     = attribute.Key("rpc.grpc.status_code")
	serverAddress = attribute.Key("server.address")
	serverPort    = attribute.Key("server.port")
)

// Unary is a grpc.UnaryClientInterceptor. The spans are those of the provider that the
// process has at the time of the request: dubbo-go sets it while the process starts, after
// the first requests, it may be. Of what is asked, and of the answer, a span has nothing:
// keys may hold what their owners keep secret.
func Unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	name := strings.TrimPrefix(method, "/")
	service, of, _ := strings.Cut(name, "/")
	ctx, span := otel.GetTracerProvider().Tracer(Scope).Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(rpcSystem.String("grpc"), rpcService.String(service), rpcMethod.String(of)))
	defer span.End()
	if !span.IsRecording() && !span.SpanContext().IsValid() { // there is no provider
		return invoke(ctx, method, request, reply, conn, opts...)
	}
	var by peer.Peer
	err := invoke(propagated(ctx), method, request, reply, conn, append(opts, grpc.Peer(&by))...)
	if by.Addr != nil {
		span.SetAttributes(server(by.Addr)...)
	}
	end := status.Convert(err) // of a context's error, too, it says what gRPC would
	if err != nil {
		if _, ofGRPC := status.FromError(err); !ofGRPC {
			end = status.FromContextError(err)
		}
		span.SetStatus(codes.Error, end.Message())
	}
	span.SetAttributes(rpcStatus.Int64(int64(end.Code())))
	return err
}

// propagated tells etcd, which can have spans as well (--enable-distributed-tracing), of
// the trace.
func propagated(ctx context.Context) context.Context {
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	for name, value := range carrier {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	return ctx
}

// server is which member has answered.
func server(a net.Addr) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return []attribute.KeyValue{serverAddress.String(a.String())}
	}
	attributes := []attribute.KeyValue{serverAddress.String(host)}
	if number, err := strconv.Atoi(port); err == nil {
		attributes = append(attributes, serverPort.Int(number))
	}
	return attributes
}
