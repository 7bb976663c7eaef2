// SPDX-License-Identifier: Apache-2.0

package etcdv3registry_test

import (
	"context"
	"net/http"

	"dubbo.apache.org/dubbo-go/v3/metrics/probe"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

func ExampleStatusHandler() {
	http.Handle("/etcd", etcdv3registry.StatusHandler())
}

// A process that is to be ready whatever becomes of etcd replaces the check that this
// package has put into dubbo-go's readiness probe.
func Example_readiness() {
	probe.RegisterReadiness("etcdv3", func(context.Context) error { return nil })
}
