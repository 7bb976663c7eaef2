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

// serverPackage is the tool of this module's go.mod that is the etcd server.
const serverPackage = "go.etcd.io/etcd/server/v3"

// binary returns the path of the etcd server to run, asked for once a process.
var binary = sync.OnceValues(findBinary)

func findBinary() (string, error) {
	if path := os.Getenv("ETCD_BIN"); path != "" {
		return exec.LookPath(path)
	}
	// The go command builds the tool when it has to and keeps the executable
	// in its build cache, safely for any number of test processes at once.
	// Some releases answer the first time with a temporary path that is gone
	// when they return (golang/go#72824), and the second time with the cached.
	for range 2 {
		path, err := goTool()
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("go tool -n names a file that does not exist; build " + serverPackage + " and set ETCD_BIN to it")
}

func goTool() (string, error) {
	cmd := exec.Command("go", "tool", "-n", serverPackage)
	cmd.Dir = moduleDir()
	// Without the workspace, whose other modules might raise etcd's dependencies.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the etcd server (or set ETCD_BIN): %w\n%s", err, stderr.Bytes())
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
