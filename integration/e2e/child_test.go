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
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// specVariable holds the spec of a child, as JSON.
const specVariable = "E2E_CHILD"

// spec says what a child is: a provider, a consumer, or both.
type spec struct {
	Name       string         // in its answers
	Belongs    string         // to the application of this name; empty: Name
	Registries []registrySpec // with the instance API; or else
	Config     string         // the path of a dubbogo.yaml
	Address    string         // of a provider
	Services   []service      // that it provides
	References []service      // that it calls all the time
	Callers    int            // goroutines that call each reference; 0: one
	Home       string         // its HOME, where the cache file is; empty: one of its own
	Timeout    time.Duration  // of its requests; 0: dubbo-go's default, 3 s
	BuiltIn    bool           // it has dubbo-go's own registry instead of this one

	ConfigCenter string // the address of etcd as a config center; empty: there is none
}

type registrySpec struct {
	Address          string
	Group, Namespace string
	Session          time.Duration // 0: the registry's default
	Type             registryType
}

// registryType is the registry-type of dubbo-go's configuration.
type registryType string

const (
	byInterface registryType = ""        // and nothing that belongs to applications
	byDefault   registryType = "default" // nothing is configured but the address
	byBoth      registryType = "all"
)

// child is what a child process has.
type child struct {
	spec
	mu    sync.Mutex // guards all below
	ready bool       // all references are made
	loads map[string]*load
}

// runChild returns when the process cannot be what it is to be. A child ends by
// a signal, or with its parent.
func runChild(encoded string) error {
	c := &child{loads: map[string]*load{}}
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
	if c.Config != "" {
		return c.runConfigured()
	}
	return c.run()
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
	go func() { _ = http.Serve(listener, mux) }()
	pipe := os.NewFile(3, "parent")
	defer pipe.Close()
	_, err = fmt.Fprintln(pipe, listener.Addr())
	return err
}

// run uses the instance API.
func (c *child) run() error {
	opts := []dubbo.InstanceOption{
		dubbo.WithName(cmp.Or(c.Belongs, c.Name)),
		dubbo.WithLogger(logger.WithLevel("info")),
		dubbo.WithShutdown(
			graceful_shutdown.WithConsumerUpdateWaitTime(500*time.Millisecond),
			graceful_shutdown.WithOfflineRequestWindowTimeout(200*time.Millisecond),
			graceful_shutdown.WithStepTimeout(3*time.Second),
		),
	}
	if c.ConfigCenter != "" {
		opts = append(opts, dubbo.WithConfigCenter(
			config_center.WithConfigCenter("etcdv3"),
			config_center.WithAddress(c.ConfigCenter),
			config_center.WithDataID(c.Name+".yaml"),
			config_center.WithTimeout(2*time.Second),
		))
	}
	for i, r := range c.Registries {
		opts = append(opts, dubbo.WithRegistry(r.options(strconv.Itoa(i))...))
	}
	if c.Address != "" {
		ip, port, err := net.SplitHostPort(c.Address)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		opts = append(opts, dubbo.WithProtocol(protocol.WithTriple(), protocol.WithIp(ip), protocol.WithPort(n)))
	}
	instance, err := dubbo.NewInstance(opts...)
	if err != nil {
		return err
	}
	if err := c.refer(instance); err != nil {
		return err
	}
	if len(c.Services) == 0 {
		select {}
	}
	return c.serve(instance)
}

func (r registrySpec) options(id string) []registry.Option {
	opts := []registry.Option{
		registry.WithEtcdV3(),
		registry.WithAddress(r.Address),
	}
	switch r.Type {
	case byInterface:
		opts = append(opts, registry.WithID(id), registry.WithRegisterInterface(), registry.WithoutUseAsMetaReport(), registry.WithTimeout(2*time.Second))
	case byBoth:
		opts = append(opts, registry.WithID(id), registry.WithRegisterServiceAndInterface())
	}
	if r.Group != "" {
		opts = append(opts, registry.WithGroup(r.Group))
	}
	if r.Namespace != "" {
		opts = append(opts, registry.WithNamespace(r.Namespace))
	}
	if r.Session != 0 {
		opts = append(opts, registry.WithParams(map[string]string{"session": r.Session.String()}))
	}
	return opts
}

func (c *child) serve(instance *dubbo.Instance) error {
	srv, err := instance.NewServer()
	if err != nil {
		return err
	}
	for _, s := range c.Services {
		err := srv.Register(&Greeter{name: c.Name, service: s}, s.serverInfo(), server.WithGroup(s.Group), server.WithVersion(s.Version))
		if err != nil {
			return err
		}
	}
	if err := srv.Serve(); err != nil {
		return err
	}
	select {} // until dubbo-go has ended the process
}

func (c *child) refer(instance *dubbo.Instance) error {
	if len(c.References) == 0 {
		c.setReady()
		return nil
	}
	opts := []client.ClientOption{client.WithClientNoCheck()}
	if c.Timeout != 0 {
		opts = append(opts, client.WithClientRequestTimeout(c.Timeout))
	}
	cli, err := instance.NewClient(opts...)
	if err != nil {
		return err
	}
	for _, s := range c.References {
		conn, err := cli.DialWithInfo(s.Interface, s.clientInfo(), client.WithGroup(s.Group), client.WithVersion(s.Version))
		if err != nil {
			return err
		}
		c.call(s, &greetClient{conn})
	}
	c.setReady()
	return nil
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
		dubbo.SetProviderServiceWithInfo(&Greeter{name: c.Name, service: s}, s.serverInfo())
	}
	if err := dubbo.Load(dubbo.WithPath(c.Config)); err != nil {
		return err
	}
	for s, cli := range clients {
		c.call(s, cli)
	}
	c.setReady()
	select {}
}

func (c *child) setReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
}
