// SPDX-License-Identifier: Apache-2.0

// Command nested imports all of dubbo-go; this registry is imported by another
// package.
package main

import _ "dubbo.apache.org/dubbo-go/v3/imports"

import (
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"
	_ "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/nested/plugin"
)

func main() { show.Extensions() }
