// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/localetcd"
)

// role is what a process is that the quickstart starts: this program again,
// with these flags.
type role struct {
	name string // "etcd", or that of a provider
	port int
	etcd string // a provider's registry
	dir  string // etcd's data
}

func (r *role) flags() {
	flag.StringVar(&r.name, "role", "", "what to be: etcd or the name of a provider (used by the quickstart itself)")
	flag.IntVar(&r.port, "port", 0, "with -role: the port to listen on")
	flag.StringVar(&r.etcd, "etcd", "", "with -role: the address of etcd")
	flag.StringVar(&r.dir, "dir", "", "with -role=etcd: where to keep the data")
}

func (r *role) play() error {
	go endWithParent()
	if r.name != "etcd" {
		return serve(r.name, r.etcd, r.port)
	}
	etcd, err := localetcd.Start(r.dir, r.port)
	if err != nil {
		return err
	}
	return etcd.Wait()
}

// endWithParent ends this process when the one that started it is gone.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// process is a role that is being played.
type process struct {
	role
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

func start(r role, log io.Writer) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{role: r, ended: make(chan struct{})}
	p.cmd = exec.Command(exe, "-role", r.name, "-port", strconv.Itoa(r.port), "-etcd", r.etcd, "-dir", r.dir)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if _, err := p.cmd.StdinPipe(); err != nil { // ends with this process: see endWithParent
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// stop asks the process to end, as a deployment does.
func (p *process) stop() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// kill ends it as a crash does, and returns when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

const (
	anyPort   = 0
	usualPort = 2379 // of etcd
)

// freePort returns the port that is wanted, if nobody has it.
func freePort(wanted int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
