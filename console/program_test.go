// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// built builds the console and the quickstart, once, and returns the directory of
// both. It asks for what the tests of the examples ask for, which is compiled once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("HOME"), "bin-") // HOME is removed after the last test
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir, ".", "../examples/quickstart").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, err
})

func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := built()
	require.NoError(t, err)
	return filepath.Join(dir, name)
}

// program is one that runs.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended

	mu    sync.Mutex
	lines []string // of its output, guarded by mu
}

func startProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: exec.Command(binary(t, name), args...), ended: make(chan struct{})}
	p.cmd.Dir = ".."
	p.cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, scanner.Text())
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.output())
		}
	})
	return p
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(slices.Clone(p.lines), "\n")
}

// requireOutput waits until it has printed a text.
func (p *program) requireOutput(text string) {
	p.t.Helper()
	testkit.Await(p.t, 2*patience, func() bool { return strings.Contains(p.output(), text) }, "%s has not printed %q", p.name, text)
}

// interrupt is Ctrl-C; it returns when the program has ended.
func (p *program) interrupt() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGINT))
	testkit.Await(p.t, 2*patience, func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	}, "%s has not ended", p.name)
}
