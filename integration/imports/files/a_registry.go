// SPDX-License-Identifier: Apache-2.0

// Command files imports this registry in its first file, and all of dubbo-go in
// its last.
package main

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
