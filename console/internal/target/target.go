// SPDX-License-Identifier: Apache-2.0

// Package target is the etcd that is looked at, and what of it: named by flags, or by
// the configuration of a service.
package target

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// PasswordVariable holds the password, which is not to stand in a list of processes.
const PasswordVariable = "ETCD_PASSWORD"

const defaultPort = "2379"

// Target is an etcd, and where the keys are in it.
type Target struct {
	Address            string // servers, separated by commas, as written
	Group, Namespace   string // as of a registry
	Username, Password string // empty if it asks for none
	TLS                transport.TLSInfo
	HTTPS              bool          // TLS is used though no file is named
	Timeout            time.Duration // of an attempt to connect; zero: two seconds
}

// Flags has the flags that name an etcd set the target. Its password comes from
// PasswordVariable.
func (t *Target) Flags(flags *flag.FlagSet) {
	t.Password = os.Getenv(PasswordVariable)
	flags.StringVar(&t.Address, "etcd", "127.0.0.1:2379", "the etcd servers, as host:port, separated by commas")
	flags.StringVar(&t.Group, "group", "dubbo", "the registry's group, the first part of every key")
	flags.StringVar(&t.Namespace, "namespace", "", "the registry's namespace, if it has one")
	flags.StringVar(&t.Username, "username", "", "the etcd user; the password is read from "+PasswordVariable)
	flags.StringVar(&t.TLS.TrustedCAFile, "ca-cert-file", "", "a PEM file with the authorities of etcd's certificate: TLS is used")
	flags.StringVar(&t.TLS.CertFile, "tls-cert-file", "", "a PEM file with the certificate that etcd is shown")
	flags.StringVar(&t.TLS.KeyFile, "tls-key-file", "", "a PEM file with its key")
	flags.StringVar(&t.TLS.ServerName, "tls-server-name", "", "the name that etcd's certificate is checked for")
}

// Root is what the keys of the interface level, mappings and metadata begin with,
// without the slash at the end.
func (t Target) Root() string { return path.Join("/", t.Namespace, t.Group) }

// Services is what instances begin with, likewise.
func (t Target) Services() string { return path.Join("/", t.Namespace, "services") }

// Config is what the configuration center begins with, likewise. Its namespace is its
// own, and "dubbo" if none is configured.
func (t Target) Config() string {
	if t.Namespace == "" {
		return "/dubbo/config"
	}
	return path.Join("/", t.Namespace, "config")
}

// Mapping is what the mappings begin with, likewise.
func (t Target) Mapping() string { return t.Root() + "/mapping" }

// Endpoints are the servers, as host:port each.
func (t Target) Endpoints() (endpoints []string) {
	for _, item := range strings.FieldsFunc(t.Address, func(r rune) bool { return strings.ContainsRune(", ;\t\r\n", r) }) {
		if _, rest, ok := strings.Cut(item, "://"); ok {
			item = rest
		}
		item = strings.TrimSuffix(item, "/")
		if _, _, err := net.SplitHostPort(item); err != nil {
			item = net.JoinHostPort(strings.Trim(item, "[]"), defaultPort)
		}
		endpoints = append(endpoints, item)
	}
	return endpoints
}

// UsesTLS says whether connections are encrypted.
func (t Target) UsesTLS() bool {
	return t.HTTPS || t.TLS.TrustedCAFile != "" || t.TLS.CertFile != "" || t.TLS.ServerName != "" || strings.Contains(t.Address, "https://")
}

// TLSConfig reads the files; it is nil if TLS is not used.
func (t Target) TLSConfig() (*tls.Config, error) {
	if !t.UsesTLS() {
		return nil, nil
	}
	config, err := t.TLS.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the TLS files: %w", err)
	}
	return config, nil
}

// Dial returns at once, unless there is a user: then etcd is asked for a token.
func (t Target) Dial(ctx context.Context, options ...grpc.DialOption) (*clientv3.Client, error) {
	return t.dial(ctx, t.Endpoints(), options)
}

// DialTo is Dial to some of the endpoints.
func (t Target) DialTo(ctx context.Context, endpoints ...string) (*clientv3.Client, error) {
	return t.dial(ctx, endpoints, nil)
}

func (t Target) dial(ctx context.Context, endpoints []string, options []grpc.DialOption) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no etcd server is named")
	}
	secure, err := t.TLSConfig()
	if err != nil {
		return nil, err
	}
	timeout := t.Timeout
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	return clientv3.New(clientv3.Config{
		Context:     ctx,
		Endpoints:   endpoints,
		TLS:         secure,
		Username:    t.Username,
		Password:    t.Password,
		DialTimeout: timeout,
		// gRPC's own would have a page wait two minutes for an etcd that is back.
		DialOptions: append([]grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: time.Second},
			MinConnectTimeout: timeout,
		})}, options...),
		Logger: zap.NewNop(),
	})
}
