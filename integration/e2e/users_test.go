// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// as has a process log in to etcd, also as its config center.
func as(user string, etcd *etcdtest.Server, s spec) spec {
	s.User = user
	return governed(etcd, s)
}

// What the framework does with the extensions needs no other rights.
func TestTheUsersOfTheSecurityPageAreEnoughForWholeProcesses(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.UsersOfThePage(t, etcd)
	testkit.Do(t, func(ctx context.Context) error { _, err := root.UserAdd(ctx, "reader", testkit.Password); return err })
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.UserGrantRole(ctx, "reader", "shop-readonly")
		return err
	})
	greeter := service{Interface: "com.example.Greeter"}

	provided := as("greeter", etcd, provider(t, etcd, "greeter", long, greeter))
	provided.Registries[0].Type, provided.RemoteMetadata = byBoth, true
	p := start(t, provided)
	for _, prefix := range []string{"/dubbo/com.example.Greeter/providers/", "/services/greeter/"} {
		testkit.Await(t, testkit.Patience, func() bool { return len(testkit.Keys(t, root, prefix)) == 1 }, "%s is not in %s", p.Name, prefix)
	}
	all := []*process{p}
	for _, kind := range []registryType{byInterfaceToo, byDefault} {
		c := as("shop", etcd, consumer(etcd, long, greeter))
		c.Application, c.Registries[0].Type, c.RemoteMetadata = "shop", kind, true
		all = append(all, start(t, c))
	}
	reading := consumer(etcd, long, greeter)
	reading.User = "reader"
	all = append(all, start(t, reading))
	for _, c := range all[1:] {
		awaitCalls(t, c, greeter, p)
	}
	assert.Len(t, testkit.Keys(t, root, "/dubbo/com.example.Greeter/consumers/"), 1)
	for _, each := range all {
		log, err := os.ReadFile(each.log())
		require.NoError(t, err)
		for line := range strings.Lines(string(log)) {
			complains := strings.Contains(line, "[etcdv3]") && (strings.Contains(line, "WARN") || strings.Contains(line, "ERROR"))
			assert.False(t, complains, "%s of %s: %s", each.Name, each.User, line)
			assert.NotRegexp(t, "(WARN|ERROR).*permission denied", line)
		}
	}
}
