// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/tracing"
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
		MaxCallRecvMsgSize:   maxAnswer,
		MaxUnaryRetries:      3, // what has to be retried for longer is retried by package retry
		DialOptions:          append(o.dialOptions(), reconnect(c.Session), grpc.WithChainUnaryInterceptor(forgetToken, failFast)),
		Logger:               zap.NewNop(), // what matters is logged here, once, in dubbo-go's log
	}
	if c.Tracing { // inside the other interceptors: each attempt is a span
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithChainUnaryInterceptor(tracing.Unary))
	}
	if c.PasswordFile != "" {
		password, err := ReadPassword(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		cfg.Password = password
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithChainUnaryInterceptor(passwordOf(c.PasswordFile)))
	}
	if m != nil {
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithStatsHandler(m))
	}
	if c.TLS.Enabled {
		config, err := c.TLS.Config()
		if err != nil {
			return nil, err
		}
		cfg.TLS = config
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(newHandshakes(c.TLS)))
	}
	return clientv3.New(cfg)
}

// reconnect replaces gRPC's own limit of 120 s between attempts to connect,
// which would keep a service away from etcd long after it is back: what waits, waits
// for the connection.
func reconnect(session time.Duration) grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: min(time.Second, session/4)},
		MinConnectTimeout: 3 * time.Second,
	})
}

// failFast has a request fail with the reason (connection refused, a
// certificate that is not trusted) as soon as no endpoint can be reached. The
// client's own setting is to wait, and to fail with "deadline exceeded".
func failFast(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, conn, append(opts, grpc.WaitForReady(false))...)
}
