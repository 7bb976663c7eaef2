// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// counter is a provider that counts the spans that are begun.
type counter struct {
	noop.TracerProvider
	spans atomic.Int32
}

func (c *counter) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return &countingTracer{counter: c}
}

type countingTracer struct {
	noop.Tracer
	counter *counter
}

func (t *countingTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.counter.spans.Add(1)
	return t.Tracer.Start(ctx, name, opts...)
}

func TestRequestsAreTracedIfAnyUserWantsThatBeforeTheConnection(t *testing.T) {
	provider := &counter{}
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	for name, c := range map[string]struct {
		first, second, late bool // whether a user wants it; the last one comes when there is a connection
		traced, warned      bool
	}{
		"nobody":       {},
		"the first":    {first: true, traced: true},
		"the second":   {second: true, traced: true},
		"one too late": {late: true, warned: true},
		"all":          {first: true, second: true, late: true, traced: true},
	} {
		t.Run(name, func(t *testing.T) {
			log := logtest.Record(t)
			s := serve(t, &server{})
			provider.spans.Store(0)
			using(t, Config{Endpoints: []string{s.address}, Tracing: c.first})
			user := using(t, Config{Endpoints: []string{s.address}, Tracing: c.second})
			require.NoError(t, get(t.Context(), user))
			late := using(t, Config{Endpoints: []string{s.address}, Tracing: c.late})
			require.NoError(t, get(t.Context(), late))
			assert.Equal(t, c.traced, provider.spans.Load() > 0)
			assert.Equal(t, c.warned, len(log.Lines("requests.trace=true is not used: this process is already connected")) == 1)
		})
	}
}

func TestAConnectionThatFailedDoesNotDecideWhetherRequestsAreTraced(t *testing.T) {
	log := logtest.Record(t)
	c := using(t, Config{Endpoints: []string{"127.0.0.1:1"}, Username: "u", PasswordFile: t.TempDir() + "/none"})
	require.Error(t, get(t.Context(), c))
	using(t, Config{Endpoints: c.cfg.Endpoints, Username: "u", PasswordFile: c.cfg.PasswordFile, Tracing: true})
	assert.True(t, c.agreed().Tracing)
	assert.Empty(t, log.Lines("requests.trace"))
}
