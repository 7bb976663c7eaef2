// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"testing"

	"go.uber.org/goleak"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest" // the protocols
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
