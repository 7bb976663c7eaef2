// SPDX-License-Identifier: Apache-2.0

package zookeeper_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/registry/zookeeper"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/zookeepertest"
)

var contender = suite.Linked("zookeeper", suite.Contender{Start: zookeepertest.Start})

func TestMain(m *testing.M) { suite.Main(m) }

func BenchmarkInterfaceLevel(b *testing.B) { suite.InterfaceLevel(b, contender) }

func BenchmarkApplicationLevel(b *testing.B) { suite.ApplicationLevel(b, contender) }
