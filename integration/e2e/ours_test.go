// SPDX-License-Identifier: Apache-2.0

//go:build !builtin

package e2e_test

import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
