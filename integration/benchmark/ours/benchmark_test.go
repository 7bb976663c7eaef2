// SPDX-License-Identifier: Apache-2.0

package ours_test

import (
	"testing"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
)

var contender = suite.Linked("etcdv3", suite.Contender{Start: suite.Etcd})

func TestMain(m *testing.M) { suite.Main(m) }

func BenchmarkInterfaceLevel(b *testing.B) { suite.InterfaceLevel(b, contender) }

func BenchmarkApplicationLevel(b *testing.B) { suite.ApplicationLevel(b, contender) }

func BenchmarkAgainstFloor(b *testing.B) { suite.AgainstFloor(b, contender) }
