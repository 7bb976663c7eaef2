// SPDX-License-Identifier: Apache-2.0

// Command between imports this registry; all of dubbo-go is imported by another
// package, which sorts after it.
package main

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"

import (
	_ "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/between/linked"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"
)

func main() { show.Extensions() }
