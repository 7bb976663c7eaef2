// SPDX-License-Identifier: Apache-2.0

// Package tracing_test has dubbo-go set the tracer provider of the process, and looks at
// the spans that it gets of requests to etcd.
package tracing_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/common"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	dubbotrace "dubbo.apache.org/dubbo-go/v3/otel/trace"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const greeter = "org.e2e.Greeter"

// recorder sees what dubbo-go's exporter is given.
var recorder = tracetest.NewSpanRecorder()

func TestMain(m *testing.M) {
	_, err := dubbo.NewInstance(dubbo.WithName("shop"), dubbo.WithTracing(
		dubbotrace.WithEnabled(), dubbotrace.WithStdoutExporter(), dubbotrace.WithW3cPropagator(), dubbotrace.WithAlwaysMode()))
	if err != nil {
		panic(err)
	}
	provider, ok := otel.GetTracerProvider().(*sdktrace.TracerProvider)
	if !ok {
		panic(fmt.Sprintf("dubbo-go has set the provider %T", otel.GetTracerProvider()))
	}
	provider.RegisterSpanProcessor(recorder)
	testkit.Main(m)
}

// spansOf are those that ended of requests to an etcd.
func spansOf(etcd *etcdtest.Server) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range recorder.Ended() {
		if fmt.Sprint(attributes(s)["server.address"], ":", attributes(s)["server.port"]) == etcd.Endpoint() {
			spans = append(spans, s)
		}
	}
	return spans
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.Emit()
	}
	return all
}

func provider(t *testing.T) *common.URL {
	t.Helper()
	u, err := common.NewURL("tri://10.0.0.7:20000/" + greeter + "?category=providers&application=shop&token=" + testkit.Token + "&interface=" + greeter)
	require.NoError(t, err)
	return u
}

// names of spans, and how often each is there.
func names(spans []sdktrace.ReadOnlySpan) map[string]int {
	n := map[string]int{}
	for _, s := range spans {
		n[s.Name()]++
	}
	return n
}

func TestRequestsAreSpansOfTheProviderThatDubboHasSet(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.EnableAuth(t, etcd, "shop", "/dubbo/")
	params := append(testkit.As("shop", testkit.Password), "requests.trace", "true", "file-cache", "false")
	r := testkit.NewRegistry(t, etcd.Endpoint(), params...)
	l := &testkit.Listener{}
	consumer, err := common.NewURL("consumer://10.0.0.8/" + greeter + "?category=providers&interface=" + greeter)
	require.NoError(t, err)
	testkit.Subscribe(t, r, consumer, l)
	require.NoError(t, r.Register(provider(t)))
	report := testkit.NewReport(t, etcd.Endpoint(), params...)
	require.NoError(t, report.PublishAppMetadata("shop", "r1", info.NewMetadataInfo("shop", "r1")))
	require.True(t, testkit.Eventually(func() bool { return names(spansOf(etcd))["etcdserverpb.KV/Txn"] > 1 }), "%v", names(spansOf(etcd)))

	n := names(spansOf(etcd))
	for _, name := range []string{"etcdserverpb.Auth/Authenticate", "etcdserverpb.KV/Range", "etcdserverpb.KV/Txn", "etcdserverpb.Lease/LeaseGrant"} {
		assert.Positive(t, n[name], "%s of %v", name, n)
	}
	for name := range n {
		assert.NotContains(t, name, "Watch")
		assert.NotContains(t, name, "KeepAlive")
	}
	for _, s := range spansOf(etcd) {
		service, method, _ := strings.Cut(s.Name(), "/")
		a := attributes(s)
		assert.Equal(t, []string{"grpc", service, method}, []string{a["rpc.system"], a["rpc.service"], a["rpc.method"]})
		assert.Equal(t, trace.SpanKindClient, s.SpanKind())
		assert.Equal(t, "github.com/dubbo-go-contrib/registry-etcdv3", s.InstrumentationScope().Name)
		assert.Len(t, a, 6, "%v", a)
		shown := fmt.Sprint(s.Name(), a, s.Status().Description, s.Events())
		for _, secret := range []string{testkit.Password, testkit.Token, greeter, "10.0.0.7"} {
			assert.NotContains(t, shown, secret)
		}
	}

	// What etcd refuses is an error.
	denied := testkit.NewReport(t, etcd.Endpoint(), append(params, "metadata-report.group", "other")...)
	require.Error(t, denied.PublishAppMetadata("shop", "r1", info.NewMetadataInfo("shop", "r1")))
	var refused sdktrace.ReadOnlySpan
	for _, s := range spansOf(etcd) {
		if s.Status().Code == codes.Error && attributes(s)["rpc.grpc.status_code"] == strconv.Itoa(7) {
			refused = s
		}
	}
	require.NotNil(t, refused, "a span of permission denied")
	assert.Equal(t, "etcdserver: permission denied", refused.Status().Description)
}

func TestWithoutTheParameterThereIsNoSpan(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	require.NoError(t, r.Register(provider(t)))
	require.Empty(t, names(spansOf(etcd)))
}
