// SPDX-License-Identifier: Apache-2.0

// Command quickstart shows what the registry does, on one machine and without
// anything to install: it starts an etcd and three providers, each a process of
// its own, and a consumer; then it stops one provider, kills another, and takes
// etcd away for a moment.
//
//	go run ./examples/quickstart
//
// With -keep it goes on until Ctrl-C, to look around with the console or
// etcdctl. Its etcd is at 127.0.0.1:2379 then, where those look, unless there is
// one already.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// session is the TTL of a provider's lease. The default, 30s, is too long to
// watch.
const session = 3 * time.Second

func main() {
	keep := flag.Bool("keep", false, "keep etcd and two providers running until Ctrl-C")
	var r role
	r.flags()
	flag.Parse()

	var err error
	if r.name != "" {
		err = r.play()
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, *keep)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) error {
	started := time.Now()
	d, err := newDemo(ctx, keep)
	if err != nil {
		return err
	}
	defer d.close()

	fmt.Println("Services that find each other through etcd, with dubbo-go and the registry etcdv3.")
	for _, step := range []func() error{
		d.startEtcd,
		d.startProviders,
		d.startConsumer,
		d.stopProvider,
		d.killProvider,
		d.restartEtcd,
	} {
		if err := step(); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return fmt.Errorf("step %d: %w\n(dubbo-go's log: %s)", d.step, err, d.log.Name())
		}
	}
	fmt.Printf("\nDone: everything worked, in %.1f s.\n", time.Since(started).Seconds())
	if keep {
		d.keep()
	}
	return nil
}
