// SPDX-License-Identifier: Apache-2.0

// Command without imports all of dubbo-go, and not this registry.
package main

import _ "dubbo.apache.org/dubbo-go/v3/imports"

import "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"

func main() { show.Extensions() }
