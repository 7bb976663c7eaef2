// SPDX-License-Identifier: Apache-2.0

// Package e2e_test tests whole dubbo-go applications: providers and consumers
// over Triple, each a process of its own, that find each other in real etcd
// servers.
//
// The processes are this test binary, started again with a spec in its
// environment (child_test.go). They have dubbo-go, its imports and the blank
// import of the registry, like any service; or, built with the tag builtin, all
// but the latter. They have the race detector if E2E_RACE is set.
package e2e_test

import (
	"fmt"
	"os"
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if encoded := os.Getenv(specVariable); encoded != "" {
		if err := runChild(encoded); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		if dir, err := programs(); err == nil {
			_ = os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}
