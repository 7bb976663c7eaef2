// SPDX-License-Identifier: Apache-2.0

// Package plugin imports this registry.
package plugin

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
