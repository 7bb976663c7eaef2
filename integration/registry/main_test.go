// SPDX-License-Identifier: Apache-2.0

// Package registry_test tests the registry as the framework uses it: through
// extension.GetRegistry, against etcd servers of its own.
package registry_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
