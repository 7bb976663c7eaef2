// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkout is somebody else's source, of which a program is built. Nothing is
// written into it: what has to be different comes from an overlay, and from a go.mod
// that is a copy of its own.
type checkout struct {
	variable string            // of the environment, that names the directory
	program  string            // the package
	overlay  map[string]string // files in it that files below testdata take the place of
	edits    []string          // of its go.mod, as "go mod edit" takes them
	empty    []string          // modules of which it is to have nothing
	once     sync.Once         // guards both below
	exe      string
	err      error
}

// executable returns the program. It skips the test where there is no checkout.
func (c *checkout) executable(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(c.variable)
	if dir == "" {
		t.Skipf("SKIPPED: %s names no checkout, nothing was done with that program", c.variable)
	}
	c.once.Do(func() { c.exe, c.err = c.build(dir) })
	require.NoError(t, c.err)
	return c.exe
}

func (c *checkout) build(dir string) (exe string, err error) {
	builds, err := buildDir()
	if err != nil {
		return "", err
	}
	into := filepath.Join(builds, c.variable)
	if err := os.Mkdir(into, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(into, name), text, 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := c.writeOverlay(dir, into)
	if err != nil {
		return "", err
	}
	edits, err := c.withEmpty(into)
	if err != nil {
		return "", err
	}
	mod, exe := filepath.Join(into, "go.mod"), filepath.Join(into, "program")
	if len(edits) > 0 {
		if err := runGo(dir, append(append([]string{"mod", "edit"}, edits...), mod)...); err != nil {
			return "", err
		}
	}
	return exe, runGo(dir, "build", "-mod=mod", "-modfile="+mod, "-overlay="+overlay, "-o", exe, c.program)
}

// writeOverlay writes the file that tells the go command of the overlay.
func (c *checkout) writeOverlay(dir, into string) (path string, err error) {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for theirs, ours := range c.overlay {
		at, err := filepath.Abs(filepath.Join(dir, theirs))
		if err != nil {
			return "", err
		}
		if overlay.Replace[at], err = filepath.Abs(filepath.Join("testdata", ours)); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path = filepath.Join(into, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// withEmpty returns the edits of go.mod, and those that replace the modules of
// which there is to be nothing.
func (c *checkout) withEmpty(into string) ([]string, error) {
	edits := c.edits
	for i, module := range c.empty {
		dir := filepath.Join(into, fmt.Sprint("empty", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n"), 0o600); err != nil {
			return nil, err
		}
		edits = append(edits, "-replace="+module+"="+dir)
	}
	return edits, nil
}

func runGo(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, output)
	}
	return nil
}

// withOurs are the edits that have a program built with this module.
func withOurs() []string {
	const module = "github.com/dubbo-go-contrib/registry-etcdv3"
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return []string{"-require=" + module + "@v0.0.0", "-replace=" + module + "=" + root}
}

// runProgram starts somebody else's program in a directory, and kills it when the
// test ends.
func runProgram(t *testing.T, exe, home string, args ...string) {
	t.Helper()
	path := filepath.Join(home, "log")
	log, err := os.Create(path)
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer log.Close()
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(path)
			t.Logf("the last lines of %s, %v:\n%s", exe, cmd.ProcessState, lastLines(string(text)))
		}
	})
}
