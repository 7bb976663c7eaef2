// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"os"
	"os/exec"
	"strings"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package whose registries have cache files: their
// home directory is a temporary one, and a goroutine that a test leaves behind is
// a failure. It does not return.
func Main(m goleak.TestingM, opts ...goleak.Option) {
	home, err := os.MkdirTemp("", "etcdtest-home-")
	if err != nil {
		panic(err)
	}
	// The go command is run for etcd's server: its caches are to stay where they are.
	for _, name := range []string{"GOCACHE", "GOPATH", "GOMODCACHE"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			panic(err)
		}
		_ = os.Setenv(name, strings.TrimSpace(string(value)))
	}
	_ = os.Setenv("HOME", home)
	goleak.VerifyTestMain(m, append(opts, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(home)
		os.Exit(code)
	}))...)
}
