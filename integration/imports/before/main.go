// SPDX-License-Identifier: Apache-2.0

// Command before imports this registry, then all of dubbo-go.
package main

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"

import _ "dubbo.apache.org/dubbo-go/v3/imports"

import "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"

func main() { show.Extensions() }
