// SPDX-License-Identifier: Apache-2.0

// Package usage_test shows how the registry is configured in Go.
package usage_test

import (
	"context"
	"net/http"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/metrics/probe"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// A registry that is configured in Go. Nothing connects before the instance serves or
// refers to something.
func Example_registry() {
	ins, err := dubbo.NewInstance(
		dubbo.WithName("greeter"),
		dubbo.WithRegistry(
			registry.WithEtcdV3(),
			registry.WithAddress("10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379"),
			registry.WithParams(map[string]string{"session": "30s"}),
		),
	)
	use(ins, err)
}

// Two registries: a provider is registered in both, a consumer calls what it finds in
// either.
func Example_severalRegistries() {
	ins, err := dubbo.NewInstance(
		dubbo.WithName("greeter"),
		dubbo.WithRegistry(registry.WithID("east"), registry.WithEtcdV3(), registry.WithAddress("10.0.0.1:2379")),
		dubbo.WithRegistry(registry.WithID("west"), registry.WithEtcdV3(), registry.WithAddress("10.1.0.1:2379")),
	)
	use(ins, err)
}

// The configuration of the service itself is in etcd, under
// /dubbo/config/services/greeter.yaml. It is read by NewInstance.
func Example_configCenter() {
	ins, err := dubbo.NewInstance(
		dubbo.WithConfigCenter(
			config_center.WithConfigCenter("etcdv3"),
			config_center.WithAddress("10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379"),
			config_center.WithDataID("greeter.yaml"),
			config_center.WithGroup("services"),
		),
	)
	use(ins, err)
}

// The status of the registries, for those who may know the addresses of services.
func Example_status() {
	http.Handle("/etcd", etcdv3registry.StatusHandler())
}

// A process that serves something else than Dubbo's calls, and is to go on with that
// while etcd is away, is always ready.
func Example_alwaysReady() {
	probe.RegisterReadiness("etcdv3", func(context.Context) error { return nil })
}

// use stands for what follows: ins.NewServer(), ins.NewClient().
func use(*dubbo.Instance, error) {}
