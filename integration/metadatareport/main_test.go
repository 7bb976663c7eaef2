// SPDX-License-Identifier: Apache-2.0

// Package metadatareport_test tests the metadata report as the framework uses
// it: through extension.GetMetadataReportFactory, against etcd servers of its own.
package metadatareport_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
