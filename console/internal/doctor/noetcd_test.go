// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// http2Server speaks HTTP/2 without TLS, until the test ends.
func http2Server(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// grpcServer has no service, until the test ends.
func grpcServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestWhatIsNoEtcdIsToldSo(t *testing.T) {
	t.Parallel()
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<h1>hello</h1>") })
	for name, c := range map[string]struct{ address, says string }{
		"a proxy that knows no etcd":       {http2Server(t, http.NotFoundHandler()), "unexpected HTTP status code received from server: 404"},
		"a page where etcd should be":      {http2Server(t, hello), "content-type"},
		"another service that speaks gRPC": {grpcServer(t), "unknown service etcdserverpb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, user := range []string{"", "shop"} {
				s := at(c.address)
				s.Username, s.Password = user, user
				healthy, report := examined(t, Options{Service: s})
				require.False(t, healthy, report)
				requireLine(t, report, Failed, "login", "what answers at "+c.address+" is no etcd: ", "find out what listens there")
				require.Contains(t, report, c.says)
			}
		})
	}
}
