// SPDX-License-Identifier: Apache-2.0

// Package examples_test runs the examples as a user would: built, and started
// from the root of the repository.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/localetcd"
)

// patience is how long a test waits for what has to happen, on a machine that
// is busy with something else.
const patience = time.Minute

func TestQuickstartShowsItAllAndEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "quickstart"))
	cmd.Dir = repository(t)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	out, err := cmd.Output()
	t.Logf("%s\nin %v", out, time.Since(begin))
	require.NoError(t, err, stderr.String())
	require.Empty(t, stderr.String())

	for _, want := range []string{
		"[1] Start etcd",
		"/dubbo/com.example.Greeter  (no lease)",
		"/dubbo/com.example.Greeter/providers/tri://127.0.0.1:",
		"Hello world, this is provider A",
		"Hello world, this is provider B",
		"Hello world, this is provider C",
		"[4] Stop provider A",
		"0 calls failed",
		"[5] Kill provider B",
		"its key was gone from etcd",
		"[6] Stop etcd",
		"A new provider D registered",
		"Done: everything worked",
	} {
		require.Contains(t, string(out), want)
	}
	require.NotContains(t, string(out), "INFO", "dubbo-go's log is to go to a file")
}

func TestQuickstartSaysWhatDoesNotWork(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(binary(t, "quickstart"))
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(t.TempDir(), "missing"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, string(out), "quickstart failed: ")
	require.Contains(t, string(out), "no such file or directory")
}

func TestConsumerFollowsTheProviders(t *testing.T) {
	t.Parallel()
	etcd, err := localetcd.Start(t.TempDir(), 0)
	require.NoError(t, err)
	t.Cleanup(etcd.Stop)
	// A second or two instead of half a minute.
	session := "registry-type: interface\n      params: {session: 2s}"
	configure := func(program string) string {
		return edited(t, program, "127.0.0.1:2379", etcd.Address, "registry-type: interface", session, "20000", freePort(t))
	}
	startProvider := func(name string) *program {
		p := start(t, "provider", "-name", name, "-config", configure("provider"))
		p.requireLineFrom(0, "Provider "+name+" is running")
		return p
	}

	consumer := start(t, "consumer", "-every", "50ms", "-config", configure("consumer"))
	consumer.requireLine("No provider available")

	one := startProvider("one")
	consumer.requireLine("this is provider one")
	two := startProvider("two")
	consumer.requireLine("this is provider two")

	// Stopped: its key goes at once, and not a call fails.
	before := consumer.printed()
	two.signal(syscall.SIGTERM)
	two.requireEnd()
	after := consumer.printed()
	consumer.requireLine("this is provider one")
	for _, line := range consumer.linesFrom(before) {
		require.NotContains(t, line, "failed")
	}
	for _, line := range consumer.linesFrom(after) {
		require.NotContains(t, line, "this is provider two")
	}

	// Crashed: its key goes with the lease. Until then calls fail otherwise.
	one.signal(syscall.SIGKILL)
	consumer.requireLine("No provider available")

	startProvider("three")
	consumer.requireLine("this is provider three")
}

func TestProviderSaysWhereItLooksForItsConfiguration(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(binary(t, "provider"))
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "examples/provider/dubbogo.yaml")
	require.Contains(t, string(out), "-config")
}

// program is an example that runs.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended

	mu    sync.Mutex
	lines []string // of its output, guarded by mu
}

func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: exec.Command(binary(t, name), args...), ended: make(chan struct{})}
	p.cmd.Dir = repository(t)
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
			t.Logf("%s printed:\n%s", name, strings.Join(p.linesFrom(0), "\n"))
		}
	})
	return p
}

// printed is the number of lines that the program has printed.
func (p *program) printed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *program) linesFrom(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines[n:])
}

// requireLine waits for a line with text among those printed from now on.
func (p *program) requireLine(text string) {
	p.t.Helper()
	p.requireLineFrom(p.printed(), text)
}

func (p *program) requireLineFrom(from int, text string) {
	p.t.Helper()
	found := func() bool {
		return slices.ContainsFunc(p.linesFrom(from), func(line string) bool { return strings.Contains(line, text) })
	}
	require.Eventually(p.t, found, patience, 10*time.Millisecond, "%s has not printed %q", p.name, text)
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

func (p *program) requireEnd() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended within %v", p.name, patience)
	}
}

// built builds the examples, once, and returns the directory of the programs.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "etcdv3-examples-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir, "./quickstart", "./provider", "./consumer", "./zones").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the examples: %w\n%s", err, out)
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// binary returns the path of an example that has been built.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := built()
	require.NoError(t, err)
	return filepath.Join(dir, name)
}

func repository(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("..")
	require.NoError(t, err)
	return path
}

// edited copies a program's configuration with some of it replaced.
func edited(t *testing.T, program string, oldnew ...string) string {
	t.Helper()
	return editedFile(t, filepath.Join(program, "dubbogo.yaml"), oldnew...)
}

func editedFile(t *testing.T, file string, oldnew ...string) string {
	t.Helper()
	config, err := os.ReadFile(file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), filepath.Base(file))
	require.NoError(t, os.WriteFile(path, []byte(strings.NewReplacer(oldnew...).Replace(string(config))), 0o600))
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
