// SPDX-License-Identifier: Apache-2.0

// Package configcenter_test tests the config center as the framework uses
// it: through extension.GetConfigCenterFactory, against etcd servers of its own.
package configcenter_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
