// SPDX-License-Identifier: Apache-2.0

// Package scaling_test finds what one etcd cluster of three members serves. It
// runs the members as processes on this machine, with the registry's real code
// as their clients, and makes more of everything until a limit shows: processes,
// changes a second, keys. "make scaling" runs it, and has it put its tables into
// docs/scaling.md.
package scaling_test

import (
	"fmt"
	"os"
	"testing"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// What the tests are told by their environment.
const (
	runVariable   = "SCALING"       // any value: TestScaling is run
	quickVariable = "QUICK"         // any value: a minute's worth of it
	docVariable   = "SCALING_DOC"   // the file that the tables go into; empty: they are only printed
	childVariable = "SCALING_CHILD" // this process is a part of the fleet
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := runChild(); err != nil {
			fmt.Fprintln(os.Stderr, "a part of the fleet:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	etcdtest.Main(m)
}
