// SPDX-License-Identifier: Apache-2.0

// Command console is a web page that shows what is registered: services, their
// providers and consumers, overrides and routers. It follows etcd by itself.
//
//	go run ./console
//
// It reads the etcd at 127.0.0.1:2379, where examples/quickstart -keep,
// examples/provider and examples/consumer are as well; -etcd names another one.
// It sees what dubbo-admin sees, by the same subscription, and changes nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dubbogo/gost/log/logger"
)

// passwordVariable holds the password, which is not to stand in a list of
// processes.
const passwordVariable = "ETCD_PASSWORD"

func main() {
	c := config{password: os.Getenv(passwordVariable), askEvery: time.Second}
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8090", "where to serve the page")
	flag.StringVar(&c.etcd, "etcd", "127.0.0.1:2379", "the etcd servers, as host:port, separated by commas")
	flag.StringVar(&c.group, "group", "dubbo", "the registry's group, the first part of every key")
	flag.StringVar(&c.namespace, "namespace", "", "the registry's namespace, if it has one")
	flag.StringVar(&c.username, "username", "", "the etcd user; the password is read from "+passwordVariable)
	flag.StringVar(&c.tls.TrustedCAFile, "ca-cert-file", "", "a PEM file with the authorities of etcd's certificate: TLS is used")
	flag.StringVar(&c.tls.CertFile, "tls-cert-file", "", "a PEM file with the certificate that etcd is shown")
	flag.StringVar(&c.tls.KeyFile, "tls-key-file", "", "a PEM file with its key")
	flag.StringVar(&c.tls.ServerName, "tls-server-name", "", "the name that etcd's certificate is checked for")
	flag.Parse()
	logger.SetLoggerLevel("warn")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	console, err := start(c)
	if err != nil {
		return err
	}
	fmt.Printf("What is in %s of the etcd at %s is shown on %s (Ctrl-C ends it)\n", c.root(), c.etcd, console.url)
	select {
	case <-ctx.Done():
	case err = <-console.failed:
	}
	console.close()
	return err
}
