// SPDX-License-Identifier: Apache-2.0

//go:build chaos

// Package failback_test breaks etcd and the network in every way a registry
// has to survive, and looks whether both sides of it are exact again
// afterwards: providers' keys in etcd, and consumers' lists.
package failback_test

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
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		// When a toxic closes a connection, toxiproxy forgets those that have
		// bytes for it: they wait for ever (v2.6.0, limit_data.go, timeout.go).
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(home)
			os.Exit(code)
		}))
}
