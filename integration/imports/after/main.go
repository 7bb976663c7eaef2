// SPDX-License-Identifier: Apache-2.0

// Command after imports all of dubbo-go, then this registry.
package main

import _ "dubbo.apache.org/dubbo-go/v3/imports"

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"

import "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"

func main() { show.Extensions() }
