// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/timeline"
)

// config is what the console is started with.
type config struct {
	target.Target
	addr     string        // where the page is served
	askEvery time.Duration // how often etcd is asked whether it is there
	access   access
	audit    *slog.Logger // of what is changed; nil: the usual log
}

// console runs until close.
type console struct {
	url    string     // of the page
	failed chan error // why the page is not served any more

	server       *http.Server
	subscription *subscription
	stop         context.CancelFunc // ends the event streams and the questions to etcd
	running      sync.WaitGroup
}

func start(c config) (*console, error) {
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return nil, err // it names the address
	}
	scheme := "http"
	if c.access.certFile != "" {
		pair, err := tls.LoadX509KeyPair(c.access.certFile, c.access.keyFile)
		if err != nil {
			_ = listener.Close()
			return nil, fmt.Errorf("-page-cert-file and -page-key-file: %w", err)
		}
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	shown := newCatalog(time.Now)
	following := newFollower(c, time.Now, shown.setView)
	var do *actions
	if c.access.write {
		do = &actions{config: c, catalog: shown, store: following.look, client: following.client, audit: cmp.Or(c.audit, slog.Default())}
	}
	clock := &timeline.Clock{}
	lines := newHistories(following, clock)
	gate, err := newGate(c.access, listener.Addr(), handler(shown, newAbout(c), do, lines))
	if err != nil {
		_ = listener.Close()
		return nil, usageError{err}
	}
	subscribed, err := subscribe(c, shown)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	started := &console{
		url:          scheme + "://" + listener.Addr().String() + "/",
		failed:       make(chan error, 1),
		subscription: subscribed,
		stop:         stop,
		server: &http.Server{
			Handler:           gate,
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       time.Minute,
		},
	}
	started.running.Go(func() { askEtcd(ctx, c, clock, shown.setEtcd) })
	started.running.Go(func() { following.run(ctx) })
	started.running.Go(func() {
		if err := started.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			started.failed <- err
		}
	})
	return started, nil
}

// close returns when nothing of the console runs any more.
func (c *console) close() {
	c.stop()
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if err := c.server.Shutdown(ctx); err != nil {
		_ = c.server.Close()
	}
	c.subscription.end()
	c.running.Wait()
}
