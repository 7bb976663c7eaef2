// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/registry/etcdv3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
)

func BenchmarkRegistry(b *testing.B) { suite.Run(b) }
