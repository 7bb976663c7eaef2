// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// EnableAuth makes a user who may read and write what begins with a prefix, and
// nothing else. The client that it returns may do all.
func EnableAuth(t testing.TB, etcd *etcdtest.Server, user, prefix string) (root *clientv3.Client) {
	t.Helper()
	client := etcd.Client()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := client.UserAdd(ctx, "root", Password); return err },
		func(ctx context.Context) error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func(ctx context.Context) error { _, err := client.UserAdd(ctx, user, Password); return err },
		func(ctx context.Context) error { _, err := client.RoleAdd(ctx, user); return err },
		func(ctx context.Context) error { _, err := client.UserGrantRole(ctx, user, user); return err },
	} {
		Do(t, step)
	}
	GrantPrefix(t, client, user, prefix)
	Do(t, func(ctx context.Context) error { _, err := client.AuthEnable(ctx); return err })
	return etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "root", Password })
}

// GrantPrefix lets a user read and write what begins with a prefix, too.
func GrantPrefix(t testing.TB, root *clientv3.Client, user, prefix string) {
	t.Helper()
	Grant(t, root, user, prefix, clientv3.GetPrefixRangeEnd(prefix))
}

// Grant lets a user read and write the keys of a range, too.
func Grant(t testing.TB, root *clientv3.Client, user, from, to string) {
	t.Helper()
	Do(t, func(ctx context.Context) error {
		_, err := root.RoleGrantPermission(ctx, user, from, to, clientv3.PermissionType(clientv3.PermReadWrite))
		return err
	})
}
