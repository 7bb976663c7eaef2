// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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

// UsersOfThePage runs the commands of docs/security.md, as they stand there: each user
// has the password of all. The client that it returns may do all.
func UsersOfThePage(t testing.TB, etcd *etcdtest.Server) (root *clientv3.Client) {
	t.Helper()
	etcd.Shell(CommandsOfThePage(t), "ROOT_PASSWORD="+Password, "GREETER_PASSWORD="+Password, "SHOP_PASSWORD="+Password, "CONSOLE_PASSWORD="+Password)
	return etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "root", Password })
}

// CommandsOfThePage are those of docs/security.md, for a test in a directory beside
// this one.
func CommandsOfThePage(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	var all strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
		all.WriteString(block[1])
	}
	return all.String()
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
