// SPDX-License-Identifier: Apache-2.0

// Command zones is the etcd of a zone, for the example of one service that uses
// two registries: that of its own zone first, and the other one when nobody is
// left there. Run each of these in a terminal of its own, from the root of the
// repository:
//
//	go run ./examples/zones -port 12379     # the etcd of the zone east
//	go run ./examples/zones -port 22379     # that of the zone west
//	go run ./examples/provider -name east -config examples/zones/provider-east.yaml
//	go run ./examples/provider -name west -config examples/zones/provider-west.yaml
//	go run ./examples/consumer -config examples/zones/consumer-east.yaml
//
// The consumer calls nobody but east. Stop the provider east with Ctrl-C:
// west answers, and no call fails. Start it again: east answers. Stop the etcd of
// east: east goes on to answer, as its provider is well.
//
// With registry-type service instead of interface, in all three files, it works
// the same way. What dubbo-go can do with zones, and what it cannot, is in
// docs/scaling.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/localetcd"
)

func main() {
	port := flag.Int("port", 12379, "where it listens, on 127.0.0.1")
	dir := flag.String("dir", "", "where its data are, which it has again when it is started again; empty: a temporary directory")
	flag.Parse()
	if err := run(*port, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "zones:", err)
		os.Exit(1)
	}
}

func run(port int, dir string) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "etcdv3-zones-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		dir = temporary
	}
	etcd, err := localetcd.Start(dir, port)
	if err != nil {
		return err
	}
	defer etcd.Stop()
	fmt.Printf("etcd is running at %s. Ctrl-C stops it.\n", etcd.Address)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}
