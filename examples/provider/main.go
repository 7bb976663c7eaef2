// SPDX-License-Identifier: Apache-2.0

// Command provider serves the Greeter and registers it in the etcd that its
// configuration names. Run it from the root of the repository:
//
//	go run ./examples/provider -name one
//
// and a second one with another port:
//
//	sed 's/20000/20001/' examples/provider/dubbogo.yaml > /tmp/two.yaml
//	go run ./examples/provider -name two -config /tmp/two.yaml
//
// Ctrl-C (or SIGTERM) stops it: its key is deleted at once, and it waits a few
// seconds for consumers to notice. A key that is left by a crash goes with its
// lease.
package main

import (
	"flag"
	"fmt"
	"os"

	"dubbo.apache.org/dubbo-go/v3"
	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/config"
)

func main() {
	path := config.Flag("examples/provider/dubbogo.yaml")
	host, _ := os.Hostname() // in containers all have one number
	name := flag.String("name", fmt.Sprintf("provider-%s-%d", host, os.Getpid()), "what it calls itself in its answers")
	flag.Parse()

	dubbo.SetProviderServiceWithInfo(&greeter.Provider{Name: *name}, &greeter.ServiceInfo)
	if err := config.Load(*path); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
	fmt.Printf("Provider %s is running. Ctrl-C stops it.\n", *name)
	select {} // dubbo-go ends the process when it is told to stop
}
