// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/logger"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
)

const (
	patience = 20 * time.Second // how long the parts of a step may take
	noticed  = time.Second      // how soon a consumer has to notice a provider that says goodbye
)

// demo is what the steps work on.
type demo struct {
	ctx   context.Context
	keeps bool // it goes on after the last step
	step  int
	dir   string   // etcd's data
	log   *os.File // what dubbo-go says, in all processes

	etcd      *process
	view      *clientv3.Client // to look at the keys; dubbo-go has connections of its own
	providers map[string]*process
	greeter   *greeter.Client
}

func newDemo(ctx context.Context, keep bool) (*demo, error) {
	dir, err := os.MkdirTemp("", "etcdv3-quickstart-")
	if err != nil {
		return nil, err
	}
	// All processes append to it. It stays when the demo has ended.
	log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		_ = os.Remove(dir)
		return nil, err
	}
	return &demo{ctx: ctx, keeps: keep, dir: dir, log: log, providers: map[string]*process{}}, nil
}

// begin starts a step.
func (d *demo) begin(format string, args ...any) {
	d.step++
	fmt.Printf("\n[%d] %s\n", d.step, fmt.Sprintf(format, args...))
}

func say(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

func (d *demo) startEtcd() error {
	d.begin("Start etcd.")
	port, err := d.etcdPort()
	if err != nil {
		return err
	}
	if d.etcd, err = start(role{name: "etcd", port: port, dir: d.dir}, d.log); err != nil {
		return err
	}
	d.view, err = clientv3.New(clientv3.Config{Endpoints: []string{d.etcd.address()}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	if err := d.waitForEtcd(); err != nil {
		return err
	}
	say("process %d, listens on %s", d.etcd.cmd.Process.Pid, d.etcd.address())
	say("(what dubbo-go logs is in %s)", d.log.Name())
	if d.keeps {
		say("To watch all this on a web page, run in another terminal:")
		say("  %s", d.consoleCommand())
	}
	return nil
}

// etcdPort is the usual port of etcd, if the user may want to look around and
// nobody has it, or else any port.
func (d *demo) etcdPort() (int, error) {
	if d.keeps {
		if port, err := freePort(usualPort); err == nil {
			return port, nil
		}
	}
	return freePort(anyPort)
}

func (d *demo) startProviders() error {
	d.begin("Start three providers of the service %s: A, B and C.", greeter.Interface)
	names := []string{"A", "B", "C"}
	for _, name := range names {
		if err := d.startProvider(name); err != nil {
			return err
		}
	}
	for _, name := range names {
		p := d.providers[name]
		if err := d.waitForKey(p); err != nil {
			return err
		}
		say("%s: process %d, listens on %s, registered", name, p.cmd.Process.Pid, p.address())
	}
	say("What is in etcd now (the last part of a key is an encoded URL, shown decoded):")
	return d.printKeys()
}

func (d *demo) startProvider(name string) error {
	port, err := freePort(anyPort)
	if err != nil {
		return err
	}
	p, err := start(role{name: name, port: port, etcd: d.etcd.address()}, d.log)
	if err != nil {
		return err
	}
	d.providers[name] = p
	return nil
}

func (d *demo) startConsumer() error {
	d.begin("Start a consumer, in this process. It knows the address of etcd, and of no provider.")
	ins, err := dubbo.NewInstance(
		dubbo.WithName("quickstart-consumer"),
		throughEtcd(d.etcd.address()),
		dubbo.WithLogger(logger.WithAppender("file"), logger.WithFileName(d.log.Name())),
		dubbo.WithShutdown(graceful_shutdown.WithoutInternalSignal()), // Ctrl-C is ours
	)
	if err != nil {
		return err
	}
	cli, err := ins.NewClient()
	if err != nil {
		return err
	}
	if d.greeter, err = greeter.NewClient(cli); err != nil {
		return err
	}

	heard := map[string]bool{}
	for i := 1; len(heard) < len(d.providers); i++ { // dubbo-go picks providers at random
		answer, err := d.greeter.Greet(d.ctx, "world")
		if err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		say("call %d: %s", i, answer)
		heard[greeter.AnsweredBy(answer)] = true
		if i == 100 {
			return fmt.Errorf("only %d of %d providers answered %d calls", len(heard), len(d.providers), i)
		}
	}
	return nil
}

func (d *demo) stopProvider() error {
	a := d.providers["A"]
	d.begin("Stop provider A with SIGTERM, as a deployment does, and go on calling.")
	gone, err := d.whenKeyIsGone(a)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := a.stop(); err != nil {
		return err
	}
	calls, err := d.callWhile(func(*tally) bool { return !a.hasEnded() })
	if err != nil {
		return err
	}
	ended := time.Now()
	delete(d.providers, "A")

	var goneAt time.Time
	select {
	case goneAt = <-gone:
	default:
		return errors.New("provider A has ended, its key is still in etcd")
	}
	say("after %-7s its key was gone from etcd", since(begin, goneAt))
	last, called := calls.last["A"]
	switch took := last.Sub(begin); {
	case !called || last.Before(goneAt):
		say("              from then on the consumer called only B and C")
	case took < noticed:
		say("after %-7s the consumer had called A for the last time", since(begin, last))
	default:
		return fmt.Errorf("the consumer went on calling A for %v", took)
	}
	say("after %-7s A's process ended: dubbo-go gives consumers time to notice", since(begin, ended))
	say("B and C answered %d calls meanwhile; %d calls failed.", calls.answered["B"]+calls.answered["C"], calls.failed)
	return calls.err
}

func (d *demo) killProvider() error {
	b := d.providers["B"]
	d.begin("Kill provider B with SIGKILL, as a crash does, and go on calling. Its lease of %v runs out.", session)
	gone, err := d.whenKeyIsGone(b)
	if err != nil {
		return err
	}
	begin := time.Now()
	b.kill()
	var goneAt time.Time
	calls, err := d.callWhile(func(*tally) bool {
		select {
		case goneAt = <-gone:
			return false
		default:
			return true
		}
	})
	if err != nil {
		return fmt.Errorf("the key of a killed provider does not go: %w", err)
	}
	delete(d.providers, "B")
	say("after %-7s its key was gone from etcd", since(begin, goneAt))
	say("C answered %d calls meanwhile, %d failed: dubbo-go tries C when B does not answer.", calls.answered["C"], calls.failed)
	return nil
}

func (d *demo) restartEtcd() error {
	d.begin("Stop etcd, go on calling, and start it again.")
	d.etcd.kill()
	begin := time.Now()
	calls, err := d.callWhile(func(*tally) bool { return time.Since(begin) < time.Second })
	if err != nil {
		return err
	}
	say("Without etcd C answered %d calls, %d failed: a consumer keeps the providers it knows.", calls.answered["C"], calls.failed)
	if calls.err != nil {
		return calls.err
	}
	if d.etcd, err = start(d.etcd.role, d.log); err != nil {
		return err
	}
	if err := d.waitForEtcd(); err != nil {
		return err
	}
	begin = time.Now()
	if err := d.startProvider("D"); err != nil {
		return err
	}
	if err := d.waitForKey(d.providers["D"]); err != nil {
		return err
	}
	registered := time.Now()
	calls, err = d.callWhile(func(c *tally) bool { return c.answered["D"] == 0 })
	if err != nil {
		return fmt.Errorf("the consumer does not find provider D: %w", err)
	}
	say("etcd is back. A new provider D registered %s after its start; the consumer called it %s later.",
		since(begin, registered), since(registered, calls.last["D"]))
	return nil
}

// keep shows how to look around, until Ctrl-C.
func (d *demo) keep() {
	say("etcd, C and D go on until Ctrl-C. To see on a web page what is registered:")
	say("  %s", d.consoleCommand())
	say("Look at the keys, or delete some and see them come back:")
	say("  etcdctl%s get --prefix /dubbo --keys-only", option("--endpoints", d.etcd))
	<-d.ctx.Done()
}

func (d *demo) consoleCommand() string { return "go run ./console" + option("-etcd", d.etcd) }

// option tells a program where etcd is, if that is not where it looks anyway.
func option(name string, etcd *process) string {
	if etcd.port == usualPort {
		return ""
	}
	return " " + name + " " + etcd.address()
}

func (d *demo) close() {
	for _, p := range d.providers {
		p.kill()
	}
	if d.view != nil {
		_ = d.view.Close()
	}
	if d.etcd != nil {
		d.etcd.kill()
	}
	_ = os.RemoveAll(d.dir)
	_ = d.log.Close()
}
