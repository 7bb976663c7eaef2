// SPDX-License-Identifier: Apache-2.0

// Command dropin stands for an existing dubbo-go service: this file knows
// nothing about etcd. What makes it use the registry is the file beside it,
// registry_etcdv3.go, and its configuration.
package main

import (
	"dubbo.apache.org/dubbo-go/v3"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
)

func main() {
	if err := dubbo.Load(); err != nil {
		panic(err)
	}
	select {}
}
