// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// recorder is a provider that keeps its spans.
type recorder struct {
	noop.TracerProvider
	spans []*span
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return &tracer{recorder: r} }

type tracer struct {
	noop.Tracer
	recorder *recorder
}

func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	c := trace.NewSpanStartConfig(opts...)
	s := &span{name: name, kind: c.SpanKind(), attributes: c.Attributes()}
	t.recorder.spans = append(t.recorder.spans, s)
	return trace.ContextWithSpan(ctx, s), s
}

type span struct {
	noop.Span
	name        string
	kind        trace.SpanKind
	attributes  []attribute.KeyValue
	code        codes.Code
	description string
	ended       bool
}

func (s *span) IsRecording() bool { return true }
func (s *span) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
}
func (s *span) SetAttributes(all ...attribute.KeyValue)    { s.attributes = append(s.attributes, all...) }
func (s *span) SetStatus(code codes.Code, said string)     { s.code, s.description = code, said }
func (s *span) End(...trace.SpanEndOption)                 { s.ended = true }
func (r *recorder) value(i int, key attribute.Key) (v any) { return r.spans[i].value(key) }

func (s *span) value(key attribute.Key) any {
	for _, a := range s.attributes {
		if a.Key == key {
			return a.Value.AsInterface()
		}
	}
	return nil
}

// traced has a provider and a propagator for a test.
func traced(t *testing.T) *recorder {
	t.Helper()
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	r := &recorder{}
	otel.SetTracerProvider(r)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return r
}

// answered is an invoker that answers from an address.
func answered(from net.Addr, err error, sent *metadata.MD) grpc.UnaryInvoker {
	return func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		*sent, _ = metadata.FromOutgoingContext(ctx)
		for _, o := range opts {
			if by, ok := o.(grpc.PeerCallOption); ok {
				*by.PeerAddr = peer.Peer{Addr: from}
			}
		}
		return err
	}
}

var (
	put  = &etcdserverpb.PutRequest{Key: []byte("/dubbo/s3cr3t"), Value: []byte("s3cr3t")}
	etcd = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 2379}
)

func TestARequestIsASpan(t *testing.T) {
	r := traced(t)
	var sent metadata.MD
	require.NoError(t, Unary(t.Context(), "/etcdserverpb.KV/Put", put, nil, nil, answered(etcd, nil, &sent)))
	require.Len(t, r.spans, 1)
	s := r.spans[0]
	assert.Equal(t, "etcdserverpb.KV/Put", s.name)
	assert.Equal(t, trace.SpanKindClient, s.kind)
	assert.ElementsMatch(t, []attribute.KeyValue{
		rpcSystem.String("grpc"), rpcService.String("etcdserverpb.KV"), rpcMethod.String("Put"), rpcStatus.Int(0),
		serverAddress.String("10.0.0.7"), serverPort.Int(2379),
	}, s.attributes)
	assert.Equal(t, codes.Unset, s.code)
	assert.True(t, s.ended)
	assert.NotEmpty(t, sent.Get("traceparent"), "etcd can take part in the trace")
}

func TestARequestThatFailsIsASpanOfAnError(t *testing.T) {
	r := traced(t)
	var sent metadata.MD
	for i, c := range []struct {
		err         error
		code        grpccodes.Code
		description string
	}{
		{status.Error(grpccodes.PermissionDenied, "etcdserver: permission denied"), grpccodes.PermissionDenied, "etcdserver: permission denied"},
		{context.DeadlineExceeded, grpccodes.DeadlineExceeded, "context deadline exceeded"},
		{errors.New("no password"), grpccodes.Unknown, "no password"},
	} {
		require.Equal(t, c.err, Unary(t.Context(), "/etcdserverpb.KV/Range", put, nil, nil, answered(nil, c.err, &sent)))
		s := r.spans[i]
		assert.EqualValues(t, c.code, r.value(i, rpcStatus))
		assert.Equal(t, codes.Error, s.code)
		assert.Equal(t, c.description, s.description)
		assert.Nil(t, s.value(serverAddress), "nobody has answered")
		assert.True(t, s.ended)
	}
}

func TestWithoutAProviderARequestIsAsItWas(t *testing.T) {
	otel.SetTracerProvider(noop.NewTracerProvider())
	otel.SetTextMapPropagator(propagation.TraceContext{})
	var sent metadata.MD
	require.NoError(t, Unary(t.Context(), "/etcdserverpb.KV/Put", put, nil, nil, answered(etcd, nil, &sent)))
	assert.Empty(t, sent)
}

func TestAnAddressWithoutAPortIsOneAllTheSame(t *testing.T) {
	r := traced(t)
	var sent metadata.MD
	require.NoError(t, Unary(t.Context(), "odd", put, nil, nil, answered(&net.UnixAddr{Name: "/run/etcd.sock", Net: "unix"}, nil, &sent)))
	assert.Equal(t, "/run/etcd.sock", r.value(0, serverAddress))
	assert.Nil(t, r.value(0, serverPort))
}
