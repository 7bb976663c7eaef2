// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to stop after SIGTERM.
const stopTimeout = 15 * time.Second

// process is one run of an etcd server.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone and has been waited for
}

// startProcess starts etcd with its output going to log.
func startProcess(args []string, log *os.File) (*process, error) {
	bin, err := binary()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = envWithoutEtcd()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	return p, nil
}

// envWithoutEtcd drops the variables that etcd would read settings from: it
// refuses to start when one contradicts a flag.
func envWithoutEtcd() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "ETCD_") && !strings.HasPrefix(entry, "ETCDCTL_") {
			env = append(env, entry)
		}
	}
	return env
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// terminate asks the process to stop and waits until it has. One that does not
// is killed, and reported.
func (p *process) terminate() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("etcd did not stop within %v of SIGTERM and was killed", stopTimeout)
	}
}

// kill ends the process, stopped or not, without giving it any say.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.exited
}

// pause returns when no thread of the process runs any more.
func (p *process) pause() error {
	if err := sent("SIGSTOP", Freeze(p.cmd.Process)); err != nil {
		return err
	}
	return waitStopped(p.cmd.Process.Pid)
}

func (p *process) resume() error { return sent("SIGCONT", Thaw(p.cmd.Process)) }

// signal does nothing to a process that has ended already.
func (p *process) signal(sig os.Signal) error { return sent(sig.String(), p.cmd.Process.Signal(sig)) }

func sent(signal string, err error) error {
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to etcd: %w", signal, err)
	}
	return nil
}
