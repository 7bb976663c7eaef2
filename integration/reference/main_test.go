// SPDX-License-Identifier: Apache-2.0

// Package reference_test tests references at application level as the framework
// makes them: its registry and directory of that level, by their extension
// points, in one process, against etcd servers of its own.
package reference_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"go.uber.org/goleak"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	testkit.Main(m,
		// The framework's cache of metadata, which it never ends.
		goleak.IgnoreAnyFunction("dubbo.apache.org/dubbo-go/v3/registry/servicediscovery/store.(*CacheManager).runDumpTask.func1"),
	)
}
