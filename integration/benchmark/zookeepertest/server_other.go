// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package zookeepertest

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
)

// Start skips the benchmark.
func Start(t testing.TB, _ bool) suite.Store {
	t.Skip("SKIPPED: ZooKeeper is run on Linux only")
	return nil
}
