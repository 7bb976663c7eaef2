// SPDX-License-Identifier: Apache-2.0

// Package status_test has things go wrong with etcd, and looks at what an operator
// sees of it: the status of the process, and its metrics, which are dubbo-go's.
package status_test

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"dubbo.apache.org/dubbo-go/v3/metrics"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	// As the framework does where they are switched on, but for serving them.
	metrics.Init(common.NewURLWithOptions(common.WithProtocol(constant.ProtocolPrometheus),
		common.WithParamsValue(constant.ApplicationKey, "shop"), common.WithParamsValue(constant.AppVersionKey, "1.2")))
	testkit.Main(m)
}
