// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// starting is how long a process may take to be ready: a machine that is busy
	// starts many.
	starting = 2 * time.Minute
	// answering is how long it may take for an answer.
	answering = time.Minute
)

// peer is a process of either language. It is told what it is by arguments, each
// a name=value, and then answers commands: a line on its standard input, a line on
// its standard output that begins with "= " or, where it failed, "! ". What it
// says unasked begins with "@ ".
type peer struct {
	*process
	t *testing.T
}

// process is what a peer is in all subtests.
type process struct {
	name    string
	cmd     *exec.Cmd
	home    string
	ended   chan struct{} // closed when it has ended and been waited for
	asking  sync.Mutex    // held from a command to its answer
	input   io.WriteCloser
	answers chan string

	mu   sync.Mutex // guards all below
	told []string   // what it said unasked
}

// startGo starts an application in Go, startJava one in Java. They return when it
// is ready: when what it serves is registered, and what it refers to is there.
func startGo(t *testing.T, name string, args ...string) *peer {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	p := &peer{&process{name: name, home: t.TempDir()}, t}
	p.cmd = exec.Command(exe, append([]string{"name=" + name}, args...)...)
	p.cmd.Env = append(os.Environ(), childVariable+"=1", constant.DubboIpToRegistryKey+"=127.0.0.1", "HOME="+p.home, "GORACE=exitcode=0 log_path="+filepath.Join(p.home, "race"))
	return p.start()
}

func startJava(t *testing.T, v version, name string, args ...string) *peer {
	t.Helper()
	return startClass(t, v, "App", name, append([]string{"name=" + name}, args...)...)
}

// startClass starts another main class than the application's.
func startClass(t *testing.T, v version, class, name string, args ...string) *peer {
	t.Helper()
	p := &peer{&process{name: name, home: t.TempDir()}, t}
	p.cmd = v.command(t, class, p.home, args...)
	return p.start()
}

func (p *peer) start() *peer {
	p.t.Helper()
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(p.t, err)
	p.cmd.Stderr = log
	p.input, err = p.cmd.StdinPipe()
	require.NoError(p.t, err)
	output, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	p.ended, p.answers = make(chan struct{}), make(chan string, 1)
	go p.read(output, log)
	p.t.Cleanup(p.cleanup)
	answer, err := p.answer(starting)
	require.NoError(p.t, err, "%s does not start", p.name)
	require.Equal(p.t, "ready", answer)
	return p
}

// in returns the peer for a subtest, which is the one to fail.
func (p *peer) in(t *testing.T) *peer { return &peer{p.process, t} }

// read returns when the process has ended. What is no answer goes to the log, too:
// dubbo-go logs to standard output.
func (p *peer) read(output io.Reader, log io.WriteCloser) {
	defer close(p.ended)
	defer log.Close()
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "= "), strings.HasPrefix(line, "! "):
			p.answers <- line
		case strings.HasPrefix(line, "@ "):
			p.mu.Lock()
			p.told = append(p.told, line[2:])
			p.mu.Unlock()
		default:
			_, _ = fmt.Fprintln(log, line)
		}
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
}

func (p *peer) cleanup() {
	p.kill()
	if p.t.Failed() {
		p.t.Logf("the last lines of %s:\n%s", p.name, p.tail())
	}
}

func (p *peer) answer(limit time.Duration) (string, error) {
	select {
	case line := <-p.answers:
		if strings.HasPrefix(line, "! ") {
			return "", errors.New(line[2:])
		}
		return line[2:], nil
	case <-p.ended:
		return "", fmt.Errorf("%s has ended: %v", p.name, p.cmd.ProcessState)
	case <-time.After(limit):
		return "", fmt.Errorf("%s has not answered for %v", p.name, limit)
	}
}

// ask has the process do something, and returns its answer.
func (p *peer) ask(format string, args ...any) (string, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if _, err := fmt.Fprintf(p.input, format+"\n", args...); err != nil {
		return "", err
	}
	return p.answer(answering)
}

// do is ask where it is a fault if the process cannot.
func (p *peer) do(format string, args ...any) string {
	p.t.Helper()
	answer, err := p.ask(format, args...)
	require.NoError(p.t, err, "%s, asked to %s", p.name, fmt.Sprintf(format, args...))
	return answer
}

// stop ends the process as a deployment does, and returns when it has ended.
func (p *peer) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(testkit.LongPatience):
		require.Fail(p.t, "it does not end", "%s was told to %v ago", p.name, testkit.LongPatience)
	}
}

// kill ends the process as a crash does.
func (p *peer) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// unasked returns what the process said unasked.
func (p *peer) unasked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.told)
}

func (p *peer) logPath() string { return filepath.Join(p.home, "log") }

func (p *peer) log() string {
	p.t.Helper()
	log, err := os.ReadFile(p.logPath())
	require.NoError(p.t, err)
	return string(log)
}

func (p *peer) tail() string { return lastLines(p.log()) }

// lastLines returns those of a log. With INTEROP_LOGS set it is all of it.
func lastLines(log string) string {
	lines := strings.SplitAfter(log, "\n")
	if os.Getenv("INTEROP_LOGS") != "" {
		return strings.Join(lines, "")
	}
	return strings.Join(lines[max(0, len(lines)-40):], "")
}
