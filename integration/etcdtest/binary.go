// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// The tools of this module's go.mod that are etcd's server and its commands.
const (
	serverPackage  = "go.etcd.io/etcd/server/v3"
	commandPackage = "go.etcd.io/etcd/etcdctl/v3"
	utilityPackage = "go.etcd.io/etcd/etcdutl/v3"
)

// binary returns the path of the etcd server to run, asked for once a process.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ETCD_BIN"); path != "" {
		return exec.LookPath(path)
	}
	return findTool(serverPackage, "ETCD_BIN")
})

// help is what the etcd server to run says of its flags. Versions differ in them.
var help = sync.OnceValue(func() string {
	path, err := binary()
	if err != nil {
		return "" // whoever starts it will say so
	}
	text, _ := exec.Command(path, "--help").CombinedOutput()
	return string(text)
})

// takes reports whether the etcd server to run has a flag.
func takes(flag string) bool { return strings.Contains(help(), "--"+flag+" ") }

// command is binary of etcdctl.
var command = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ETCDCTL_BIN"); path != "" {
		return exec.LookPath(path)
	}
	return findTool(commandPackage, "ETCDCTL_BIN")
})

// utility is binary of etcdutl.
var utility = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ETCDUTL_BIN"); path != "" {
		return exec.LookPath(path)
	}
	return findTool(utilityPackage, "ETCDUTL_BIN")
})

func findTool(name, variable string) (string, error) {
	// The go command builds the tool when it has to and keeps the executable
	// in its build cache, safely for any number of test processes at once.
	// Some releases answer the first time with a temporary path that is gone
	// when they return (golang/go#72824), and the second time with the cached.
	for range 2 {
		path, err := goTool(name)
		if err != nil {
			return "", fmt.Errorf("build %s (or set %s): %w", name, variable, err)
		}
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("go tool -n names a file that does not exist; build " + name + " and set " + variable + " to it")
}

func goTool(name string) (string, error) {
	cmd := exec.Command("go", "tool", "-n", name)
	cmd.Dir = moduleDir()
	// Without the workspace, whose other modules might raise etcd's dependencies.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// moduleDir returns a directory in the module that has etcd as a tool: that of
// this file, or, where -trimpath hides it, the directory a test is run in.
func moduleDir() string {
	_, file, _, ok := runtime.Caller(0)
	if dir := filepath.Dir(file); ok && filepath.IsAbs(dir) {
		return dir
	}
	return ""
}

// Binary returns the path of the etcd server that is run.
func Binary() (string, error) { return binary() }
