// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
)

// throughEtcd is the registry of providers and consumer alike.
func throughEtcd(address string) dubbo.InstanceOption {
	return dubbo.WithRegistry(
		registry.WithEtcdV3(),
		registry.WithRegisterInterface(),
		registry.WithAddress(address),
		registry.WithParams(map[string]string{
			"session":    session.String(),
			"file-cache": "false", // only this demonstration does without: its etcd is another one each time
		}),
	)
}

// serve is a provider, as an ordinary dubbo-go service would be written. It
// returns only if it cannot start: dubbo-go ends the process on SIGTERM.
func serve(name, etcd string, port int) error {
	ins, err := dubbo.NewInstance(
		dubbo.WithName("greeter-"+name),
		throughEtcd(etcd),
		dubbo.WithProtocol(protocol.WithTriple(), protocol.WithIp("127.0.0.1"), protocol.WithPort(port)),
		// The defaults are 3 s each, which suits production.
		dubbo.WithShutdown(
			graceful_shutdown.WithConsumerUpdateWaitTime(time.Second),
			graceful_shutdown.WithOfflineRequestWindowTimeout(500*time.Millisecond),
		),
	)
	if err != nil {
		return err
	}
	srv, err := ins.NewServer()
	if err != nil {
		return err
	}
	if err := srv.Register(&greeter.Provider{Name: name}, &greeter.ServiceInfo); err != nil {
		return err
	}
	return srv.Serve()
}
