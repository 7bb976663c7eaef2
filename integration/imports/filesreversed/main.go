// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/dubbo-go-contrib/registry-etcdv3/integration/imports/internal/show"

func main() { show.Extensions() }
