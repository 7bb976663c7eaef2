// SPDX-License-Identifier: Apache-2.0

// Command console is for who runs services that are registered in etcd.
//
//	console          a web page that shows what is registered, and follows etcd
//	console doctor   looks for what keeps a service from it, and says what to do
//	console gc       deletes what is left over of what is gone
//
// It reads the etcd at 127.0.0.1:2379, where examples/quickstart -keep,
// examples/provider and examples/consumer are as well; -etcd names another one.
// docs/console.md describes it all.
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

	"github.com/dubbogo/gost/log/logger"
)

// Exit codes, for scripts.
const (
	exitFailed = 1 // something is wrong with what was looked at
	exitUsage  = 2 // the command line, or what it names
)

// errFound says that something is wrong, and has been told.
var errFound = errors.New("something is wrong")

// usageError is an error of whoever wrote the command line.
type usageError struct{ error }

func main() {
	logger.SetLoggerLevel("error")
	name, args, command := "console", os.Args[1:], page
	if len(args) > 0 {
		switch args[0] {
		case "doctor":
			name, args, command = "console doctor", args[1:], examine
		case "gc":
			name, args, command = "console gc", args[1:], collect
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, flag.NewFlagSet(name, flag.ContinueOnError), args)
	stop()
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errFound):
		os.Exit(exitFailed)
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(exitFailed)
	}
}

// commands are the lines of -help about what else there is.
const commands = `
Commands, each with -help of its own:
  console doctor   looks for what keeps a service from etcd, and says what to do
  console gc       shows what is left over of what is gone, and deletes it
`

// parse reads the flags; there are no other arguments.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("%q is no command and no flag; -help lists them", flags.Arg(0))
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return usageError{err}
}

// page serves the web page until ctx ends.
func page(ctx context.Context, flags *flag.FlagSet, args []string) error {
	c := config{askEvery: time.Second}
	flags.Usage = func() {
		_, _ = fmt.Fprintln(flags.Output(), "Usage: console [flags] serves a web page that shows what is registered. Its flags:")
		flags.PrintDefaults()
		_, _ = fmt.Fprint(flags.Output(), commands)
	}
	c.Flags(flags)
	flags.StringVar(&c.addr, "addr", "127.0.0.1:8090", "where to serve the page")
	flags.BoolVar(&c.access.write, "write", false, "let the page change things in etcd; who does what is logged")
	flags.StringVar(&c.access.hosts, "hosts", "", "the names under which the page may be opened, separated by commas (any, but for an address of this machine)")
	flags.StringVar(&c.access.loginFile, "login-file", "", "a file of who may log in: lines of user:bcrypt, as htpasswd -nB USER writes them")
	flags.StringVar(&c.access.userHeader, "user-header", "", "the header in which a proxy names the user, X-Forwarded-User for instance")
	flags.StringVar(&c.access.proxies, "trusted-proxies", "", "the networks of such proxies, as 10.0.0.0/8, separated by commas")
	flags.StringVar(&c.access.certFile, "page-cert-file", "", "a PEM file with the certificate of the page: it is served with TLS")
	flags.StringVar(&c.access.keyFile, "page-key-file", "", "a PEM file with its key")
	if err := parse(flags, args); err != nil {
		return err
	}
	console, err := start(c)
	if err != nil {
		return err
	}
	fmt.Printf("What is in %s of the etcd at %s is shown on %s (Ctrl-C ends it)\n", c.Root(), c.Address, console.url)
	select {
	case <-ctx.Done():
	case err = <-console.failed:
	}
	console.close()
	return err
}
