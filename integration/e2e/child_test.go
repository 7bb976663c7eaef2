// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// child is what a child process has.
type child struct {
	spec
	began     time.Time
	referring sync.Mutex     // held while a reference is made: dubbo-go makes one at a time
	client    *client.Client // set before ready; nil where there is a configuration file

	mu    sync.Mutex // guards all below
	ready bool       // all references of the spec are made
	loads map[string]*load
}

// runChild returns when the process cannot be what it is to be. A child ends by
// a signal, or with its parent.
func runChild(encoded string) error {
	c := &child{began: time.Now(), loads: map[string]*load{}}
	if err := json.Unmarshal([]byte(encoded), &c.spec); err != nil {
		return err
	}
	go func() { // stdin ends with the parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	if err := c.listen(); err != nil {
		return err
	}
	// dubbo-go v3.3.2 ends the process when all callbacks have run; its next release
	// leaves that to the program.
	extension.AddCustomShutdownCallback(func() { time.AfterFunc(time.Second, func() { os.Exit(0) }) })
	switch {
	case c.Sample != "":
		return c.runSample()
	case c.Config != "":
		return c.runConfigured()
	default:
		return c.run()
	}
}

// listen serves what the parent asks, and tells it where, on descriptor 3.
func (c *child) listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/report", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(c.report()) })
	mux.HandleFunc("/reset", func(http.ResponseWriter, *http.Request) { c.reset() })
	mux.HandleFunc("/refer", c.asked(c.refer))
	mux.HandleFunc("/destroy", c.asked(c.destroy))
	mux.HandleFunc("/usage", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(usageNow()) })
	mux.HandleFunc("/stacks", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(stacks()) })
	go func() { _ = http.Serve(listener, mux) }()
	pipe := os.NewFile(3, "parent")
	defer pipe.Close()
	_, err = fmt.Fprintln(pipe, listener.Addr())
	return err
}

// asked has a request's service done something with.
func (c *child) asked(do func(service) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var s service
		err := json.NewDecoder(r.Body).Decode(&s)
		if err == nil {
			err = do(s)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// run uses the instance API.
func (c *child) run() error {
	opts := []dubbo.InstanceOption{
		dubbo.WithName(cmp.Or(c.Application, c.Name)),
		dubbo.WithLogger(logger.WithLevel("info")),
		dubbo.WithShutdown(
			graceful_shutdown.WithConsumerUpdateWaitTime(500*time.Millisecond),
			graceful_shutdown.WithOfflineRequestWindowTimeout(200*time.Millisecond),
			graceful_shutdown.WithStepTimeout(3*time.Second),
		),
	}
	if c.MetadataPort != 0 {
		opts = append(opts, dubbo.WithMetadataServicePort(c.MetadataPort))
	}
	if c.RemoteMetadata {
		opts = append(opts, dubbo.WithRemoteMetadata())
	}
	if c.MetadataReport != "" {
		opts = append(opts, dubbo.WithMetadataReport(metadata.WithEtcdV3(), metadata.WithAddress(c.MetadataReport)))
	}
	if c.ConfigCenter != "" {
		opts = append(opts, dubbo.WithConfigCenter(
			config_center.WithConfigCenter("etcdv3"),
			config_center.WithAddress(c.ConfigCenter),
			config_center.WithDataID(c.Name+".yaml"),
			config_center.WithTimeout(2*time.Second),
			config_center.WithUsername(c.User),
			config_center.WithPassword(c.password()),
		))
	}
	for i, r := range c.Registries {
		options := r.options(strconv.Itoa(i), len(c.Registries) > 1)
		if c.User != "" {
			options = append(options, registry.WithUsername(c.User), registry.WithPassword(c.password()))
		}
		opts = append(opts, dubbo.WithRegistry(options...))
	}
	for id, e := range c.endpoints() {
		opt, err := e.option(id)
		if err != nil {
			return err
		}
		opts = append(opts, opt)
	}
	instance, err := dubbo.NewInstance(opts...)
	if err != nil {
		return err
	}
	if err := c.referAll(instance); err != nil {
		return err
	}
	if len(c.Services) == 0 {
		select {}
	}
	return c.serve(instance)
}

// password is that of the user, if there is one.
func (c *child) password() string {
	if c.User == "" {
		return ""
	}
	return testkit.Password
}

// runConfigured uses a configuration file, which says all but which services
// are meant.
func (c *child) runConfigured() error {
	clients := map[service]*greetClient{}
	for _, s := range c.References {
		clients[s] = &greetClient{}
		dubbo.SetConsumerServiceWithInfo(clients[s], s.clientInfo())
	}
	for _, s := range c.Services {
		dubbo.SetProviderServiceWithInfo(&Greeter{name: c.Name, service: s, delay: c.Delay}, s.serverInfo())
	}
	if err := dubbo.Load(dubbo.WithPath(c.Config)); err != nil {
		return err
	}
	for s, cli := range clients {
		c.call(s, cli, nil)
	}
	c.setReady()
	select {}
}

func (c *child) setReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
}
