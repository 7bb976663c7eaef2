// SPDX-License-Identifier: Apache-2.0

package floor_test

import (
	"testing"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
)

var contender = suite.Bare

func TestMain(m *testing.M) { suite.Main(m) }

func BenchmarkInterfaceLevel(b *testing.B) { suite.InterfaceLevel(b, contender) }

func BenchmarkApplicationLevel(b *testing.B) { suite.ApplicationLevel(b, contender) }

func BenchmarkBatches(b *testing.B) { suite.Batches(b) }
