// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"net"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// connect makes the client; it ends with ctx. The observer sees its traffic, and
// the members, unless nil, its connections.
func connect(ctx context.Context, c Config, o *observer, m *members) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Context:     ctx,
		Endpoints:   c.Endpoints,
		Username:    c.Username,
		Password:    c.Password,
		DialTimeout: c.Timeout,
		// A dead connection is found within 13 s. etcd does not accept pings
		// closer than 5 s (--grpc-keepalive-min-time).
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxUnaryRetries:      3, // what has to be retried for longer is retried by package retry
		DialOptions:          append(o.dialOptions(), reconnect(cmp.Or(c.Session, DefaultSession)), grpc.WithChainUnaryInterceptor(failFast)),
		Logger:               zap.NewNop(), // what matters is logged here, once, in dubbo-go's log
	}
	if m != nil {
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithStatsHandler(m))
	}
	if c.TLS.Enabled {
		tls, err := c.TLS.Config()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tls
		if c.TLS.ServerName != "" {
			named := serverName{credentials.NewTLS(tls), c.TLS.ServerName}
			cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(named))
		}
	}
	return clientv3.New(cfg)
}

// reconnect replaces gRPC's own limit of 120 s between attempts to connect,
// which would keep a service away from etcd long after it is back: for longer
// than the session that leases live on for then.
func reconnect(session time.Duration) grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: min(3*time.Second, session/4)},
		MinConnectTimeout: 3 * time.Second,
	})
}

// failFast has a request fail with the reason (connection refused, a
// certificate that is not trusted) as soon as no endpoint can be reached. The
// client's own setting is to wait, and to fail with "deadline exceeded".
func failFast(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, conn, append(opts, grpc.WaitForReady(false))...)
}

// serverName checks the server's certificate for a name of its own: the client
// always sets that of the endpoint, whatever tls.Config says.
type serverName struct {
	credentials.TransportCredentials
	name string
}

func (s serverName) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return s.TransportCredentials.ClientHandshake(ctx, s.name, conn)
}

func (s serverName) Clone() credentials.TransportCredentials {
	return serverName{s.TransportCredentials.Clone(), s.name}
}
