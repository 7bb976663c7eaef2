// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// answerTimeout is how long etcd may take before it counts as away.
const answerTimeout = 2 * time.Second

// etcdStatus says how etcd took the last question.
type etcdStatus string

const (
	notAsked etcdStatus = ""
	answers  etcdStatus = "answers"
	silent   etcdStatus = "silent"
	refuses  etcdStatus = "refuses" // credentials or permissions are missing
)

// askEtcd asks etcd whether it is there, again and again until ctx ends, and
// tells what it finds. A registry of dubbo-go has no way to say so, hence the
// connection of its own.
func askEtcd(ctx context.Context, c config, tell func(s etcdStatus, reason string)) {
	var client *clientv3.Client
	defer func() {
		if client != nil {
			_ = client.Close()
		}
	}()
	for {
		var err error
		if client == nil {
			client, err = connect(ctx, c)
		}
		if err == nil {
			asking, cancel := context.WithTimeout(ctx, answerTimeout)
			_, err = client.Get(asking, c.root()+"/") // what the registry reads begins so
			cancel()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			tell(answers, "")
		case retry.CanPass(err):
			tell(silent, "")
		default:
			tell(refuses, err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.askEvery):
		}
	}
}

// connect returns at once, unless there is a user: then etcd is asked for a
// token.
func connect(ctx context.Context, c config) (*clientv3.Client, error) {
	var secure *tls.Config
	if c.tls.TrustedCAFile != "" || c.tls.CertFile != "" || c.tls.ServerName != "" {
		var err error
		if secure, err = c.tls.ClientConfig(); err != nil {
			return nil, err
		}
	}
	return clientv3.New(clientv3.Config{
		TLS:         secure,
		Context:     ctx,
		Endpoints:   strings.FieldsFunc(c.etcd, func(r rune) bool { return r == ',' || r == ' ' }),
		Username:    c.username,
		Password:    c.password,
		DialTimeout: answerTimeout,
		// gRPC's own would have the page wait two minutes for an etcd that is back.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: time.Second},
			MinConnectTimeout: answerTimeout,
		})},
		Logger: zap.NewNop(),
	})
}
