// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// process is a child, seen by its parent.
type process struct {
	spec
	t       testing.TB
	cmd     *exec.Cmd
	started time.Time     // before it was
	control string        // its host:port for the parent's questions
	ended   chan struct{} // closed when it has ended and been waited for
	dir     string        // of its log and its race reports
}

// start runs a child and returns when its process runs, which is before it is
// registered or has found anything. It is killed when the test ends.
func start(t testing.TB, s spec) *process {
	t.Helper()
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	p := &process{spec: s, t: t, dir: childDir(t, s.Name), ended: make(chan struct{})}
	log, err := os.Create(p.log())
	require.NoError(t, err)
	defer log.Close()
	told, tell, err := os.Pipe()
	require.NoError(t, err)
	defer told.Close()

	exe, err := executable(s)
	require.NoError(t, err)
	p.cmd = exec.Command(exe)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), specVariable+"="+string(encoded), "HOME="+cmp.Or(s.Home, p.dir), "GORACE=exitcode=0 log_path="+filepath.Join(p.dir, "race"))
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.ExtraFiles = []*os.File{tell}
	_, err = p.cmd.StdinPipe() // ends with this process, and the child with it
	require.NoError(t, err)
	p.started = time.Now()
	err = p.cmd.Start()
	_ = tell.Close()
	require.NoError(t, err)
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(p.cleanup)

	p.control, err = bufio.NewReader(told).ReadString('\n')
	require.NoError(t, err, "%s has ended: %s", s.Name, p.tail())
	p.control = strings.TrimSpace(p.control)
	return p
}

// executable returns the program of a child: this test binary, or one like it
// without this registry. It has the race detector only if E2E_RACE is set: with
// it a call costs four times as much, and most of what runs here is dubbo-go.
func executable(s spec) (string, error) {
	race := os.Getenv("E2E_RACE") != ""
	switch {
	case s.BuiltIn && race:
		return builtInWithRace()
	case s.BuiltIn:
		return builtIn()
	case race == hasRace():
		return os.Executable()
	case race:
		return "", errors.New("E2E_RACE: go test without -race")
	default:
		return withoutRace()
	}
}

// hasRace says whether this test binary has the race detector.
var hasRace = sync.OnceValue(func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
})

var (
	withoutRace     = sync.OnceValues(func() (string, error) { return build() })
	builtIn         = sync.OnceValues(func() (string, error) { return build("-tags", "builtin") })
	builtInWithRace = sync.OnceValues(func() (string, error) { return build("-tags", "builtin", "-race") })
)

// programs is where build puts what it builds. TestMain removes it.
var programs = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "e2e-") })

// build builds this test binary with other flags.
func build(flags ...string) (string, error) {
	dir, err := programs()
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, "e2e"+strings.Join(flags, "")+".test")
	args := slices.Concat([]string{"test", "-c", "-ldflags=-s -w", "-o", exe}, flags, []string{"."})
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return exe, nil
}

// childDir is where a child leaves its log: a temporary directory or, to look
// at it afterwards, one under what E2E_LOGS names.
func childDir(t testing.TB, name string) string {
	t.Helper()
	logs := os.Getenv("E2E_LOGS")
	if logs == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(logs, strings.ReplaceAll(t.Name(), "/", "_")+"-"+name+"-")
	require.NoError(t, err)
	return dir
}

func (p *process) cleanup() {
	p.kill()
	if races := p.races(); len(races) > 0 {
		p.t.Errorf("data races in %s:\n%s", p.Name, races)
	}
	if p.t.Failed() {
		p.t.Logf("the last lines of %s:\n%s", p.Name, p.tail())
	}
}

// races returns what the race detector reported of this process and is the
// registry's: dubbo-go has races of its own, also beneath a notification.
func (p *process) races() string {
	found := ""
	files, _ := filepath.Glob(filepath.Join(p.dir, "race.*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, one := range strings.Split(string(text), "==================\n") {
			if slices.ContainsFunc(racing(one), func(f string) bool { return strings.Contains(f, "registry-etcdv3/etcdv3registry") }) {
				found += one
			}
		}
	}
	return found
}

// racing returns the functions that a race report is about: of each access the
// innermost, but for the runtime's, and those of the URLs, which are what is
// raced for rather than who does it.
func racing(report string) []string {
	var functions []string
	looking := false
	for line := range strings.SplitSeq(report, "\n") {
		switch {
		case accesses.MatchString(line):
			looking = true
		case looking && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") && !neutral.MatchString(line):
			functions = append(functions, strings.TrimSpace(line))
			looking = false
		}
	}
	return functions
}

var (
	accesses = regexp.MustCompile(`^(Previous )?(atomic )?([Rr]ead|[Ww]rite) at `)
	neutral  = regexp.MustCompile(`^  (runtime|sync|maps|net/url|.*dubbo-go/v3/common)\.`)
)

func (p *process) log() string { return filepath.Join(p.dir, "child.log") }

// tail returns the last lines of the log, without what dubbo-go says at every
// call for which there is no provider.
func (p *process) tail() string {
	log, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(log), "\n"), func(line string) bool {
		return strings.Contains(line, "invokers from previous router is empty")
	})
	return strings.Join(lines[max(0, len(lines)-25):], "")
}

// terminate asks the process to stop, as a deployment does, and returns at
// once.
func (p *process) terminate() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
}

// awaitEnd returns when the process has ended by itself.
func (p *process) awaitEnd() {
	p.t.Helper()
	select {
	case <-p.ended:
		require.Zero(p.t, p.cmd.ProcessState.ExitCode(), "%s: %v", p.Name, p.cmd.ProcessState)
	case <-time.After(testkit.Patience):
		require.Fail(p.t, "it does not end", "%s was told to stop %v ago", p.Name, testkit.Patience)
	}
}

// kill ends the process as a crash does, and returns when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// freeze stops the process without its noticing, thaw has it go on.
func (p *process) freeze() { p.signalled(etcdtest.Freeze(p.cmd.Process)) }
func (p *process) thaw()   { p.signalled(etcdtest.Thaw(p.cmd.Process)) }

func (p *process) signalled(err error) {
	if err != nil {
		require.NoError(p.t, err, "%s has ended by itself with %v:\n%s", p.Name, p.cmd.ProcessState, p.tail())
	}
}
