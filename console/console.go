// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// config is what the console is started with.
type config struct {
	target.Target
	addr     string        // where the page is served
	askEvery time.Duration // how often etcd is asked whether it is there
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
	shown := newCatalog(time.Now)
	subscribed, err := subscribe(c, shown)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	started := &console{
		url:          "http://" + listener.Addr().String() + "/",
		failed:       make(chan error, 1),
		subscription: subscribed,
		stop:         stop,
		server: &http.Server{
			Handler:           handler(shown, newAbout(c), listener.Addr()),
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       time.Minute,
		},
	}
	started.running.Go(func() { askEtcd(ctx, c, shown.setEtcd) })
	started.running.Go(func() { newFollower(c, time.Now, shown.setView).run(ctx) })
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
