// SPDX-License-Identifier: Apache-2.0

package ours_test

import (
	"testing"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
)

func BenchmarkRegistry(b *testing.B) { suite.Run(b) }

func BenchmarkBareEtcd(b *testing.B) { suite.RunBare(b) }
