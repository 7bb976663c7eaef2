// SPDX-License-Identifier: Apache-2.0

//go:build interop

// Package interop_test tests applications with this registry beside those of
// Dubbo for Java with its own, on one etcd: processes that find and call each
// other, keys that either writes, and what happens to both. It needs a JDK (17 or
// later) and Maven: make interop.
//
// A process in Go is this test binary, started again (app_test.go); one in Java is
// a main class of java/. Both are told the same way what they are, and answer the
// same commands (peer_test.go). Each test is run with each version of Java's Dubbo
// in javaVersions; INTEROP_JAVA names one of them.
//
// dubbo-admin and pixiu are built from checkouts, which DUBBO_ADMIN and PIXIU name
// (checkout_test.go): make interop-admin.
package interop_test

import (
	"fmt"
	"os"
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := runApp(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	removeBuilds()
	os.Exit(code)
}
