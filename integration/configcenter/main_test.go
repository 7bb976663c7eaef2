// SPDX-License-Identifier: Apache-2.0

// Package configcenter_test tests the config center as the framework uses
// it: through extension.GetConfigCenterFactory, against etcd servers of its own.
package configcenter_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"go.uber.org/goleak"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "etcdv3-home-") // for the cache files
	if err != nil {
		panic(err)
	}
	// etcdtest runs the go command, whose caches are to stay where they are.
	for _, name := range []string{"GOCACHE", "GOPATH", "GOMODCACHE"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			panic(err)
		}
		_ = os.Setenv(name, strings.TrimSpace(string(value)))
	}
	_ = os.Setenv("HOME", home)
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(home)
		os.Exit(code)
	}))
}
