// SPDX-License-Identifier: Apache-2.0

// Package auth_test tests the roles that docs/security.md has for each part, and what
// becomes of a process when etcd's authentication, its users, their passwords, roles
// and tokens change while it runs.
package auth_test

import (
	"testing"

	_ "dubbo.apache.org/dubbo-go/v3/imports"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

func TestMain(m *testing.M) { etcdtest.Main(m) }
