// SPDX-License-Identifier: Apache-2.0

package main

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
