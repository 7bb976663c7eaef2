// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// asRoot has etcdctl log in as who may do all.
const asRoot = "ETCDCTL_USER=root:" + testkit.Password

// secured is an etcd with the roles and users of the page. The client may do all.
func secured(t *testing.T) (*etcdtest.Server, *clientv3.Client) {
	t.Helper()
	etcd := etcdtest.Start(t)
	return etcd, testkit.UsersOfThePage(t, etcd)
}

// parts are those that the page has a role for.
var parts = map[string]func(*part) error{
	"greeter-interface":     (*part).provideInterface,
	"shop-interface":        (*part).callInterface,
	"shop-readonly":         (*part).callInterface,
	"greeter-application":   (*part).provideApplication,
	"shop-application":      (*part).callApplication,
	"greeter-configuration": (*part).configureGreeter,
	"shop-configuration":    (*part).configureShop,
	"operator":              (*part).operate,
	"console":               (*part).show,
}

// These tests do not run beside others: all that is logged is theirs.

func TestEachRoleOfThePageIsEnoughForItsPartAndHasNoRightThatItDoesNotNeed(t *testing.T) {
	etcd, root := secured(t)
	all := testkit.CommandsOfThePage(t)
	for role, do := range parts {
		t.Run(role, func(t *testing.T) {
			user := "only-" + role
			addUser(t, root, user)
			testkit.Do(t, func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, user, role); return err })
			p := &part{TB: t, etcd: etcd, root: root, user: user}
			for range 2 { // at every start
				before := logtest.Now()
				require.NoError(t, do(p))
				assert.Empty(t, before.Complaints())
			}
			switch role {
			case "greeter-interface":
				assert.Contains(t, testkit.Keys(t, root, "/dubbo/"+greeter), "/dubbo/"+greeter)
			case "shop-interface":
				assert.True(t, p.shown)
			case "shop-readonly":
				assert.False(t, p.shown)
			case "operator":
				require.ErrorContains(t, p.provideInterface(), "permission denied")
			}
			rights := regexp.MustCompile(`grant-permission `+role+` \w+ (.*)\n`).FindAllStringSubmatch(all, -1)
			require.NotEmpty(t, rights)
			for _, right := range rights {
				if right[1] == "/dubbo/"+greeter {
					continue // of use to dubbo-admin alone
				}
				etcd.Shell("etcdctl role revoke-permission "+role+" "+right[1], asRoot)
				before := logtest.Now()
				err := do(p)
				assert.NotEmpty(t, grants.FindString(fmt.Sprint(err, before.Lines())), "it works without %s", right)
				etcd.Shell("etcdctl role "+right[0], asRoot)
			}
		})
	}
}

// With the roles of what a process does beside each other, and nothing else.
func TestTheUsersOfThePageMayDoTheirPartsAndNoOthers(t *testing.T) {
	etcd, root := secured(t)
	before := logtest.Now()
	for user, roles := range map[string][]string{
		"greeter": {"greeter-interface", "greeter-application", "greeter-configuration"},
		"shop":    {"shop-interface", "shop-application", "shop-configuration"},
		"console": {"console"},
	} {
		for _, role := range roles {
			require.NoError(t, parts[role](&part{TB: t, etcd: etcd, root: root, user: user}))
		}
	}
	assert.Empty(t, before.Complaints())
	for _, refused := range []struct{ user, role string }{
		{"shop", "greeter-interface"}, {"shop", "greeter-application"}, {"shop", "operator"}, {"shop", "console"},
		{"greeter", "operator"}, {"greeter", "shop-configuration"}, {"console", "greeter-interface"}, {"console", "operator"},
	} {
		require.ErrorContains(t, parts[refused.role](&part{TB: t, etcd: etcd, root: root, user: refused.user}), "permission denied", refused)
	}
}

var grants = regexp.MustCompile(`etcdctl role grant-permission ROLE [^)\n]*`)

// A user has no right at all, and is given what the log says, until there is nothing
// to say any more.
func TestTheCommandsInTheLogAreEnough(t *testing.T) {
	etcd, root := secured(t)
	for role, do := range parts {
		if role == "shop-readonly" {
			continue // the log offers the right to be shown
		}
		t.Run(role, func(t *testing.T) {
			user := "new-" + role
			addUser(t, root, user)
			testkit.Do(t, func(ctx context.Context) error { _, err := root.RoleAdd(ctx, user); return err })
			testkit.Do(t, func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, user, user); return err })
			given := map[string]bool{}
			for {
				before := logtest.Now()
				err := do(&part{TB: t, etcd: etcd, root: root, user: user})
				said := strings.Join(before.Lines(), "\n")
				if err != nil {
					said += err.Error()
				}
				wanted := grants.FindAllString(said, -1)
				if len(wanted) == 0 {
					require.NoError(t, err, said)
					assert.Empty(t, before.Complaints())
					return
				}
				for _, command := range wanted {
					if !given[command] {
						given[command] = true
						etcd.Shell(strings.Replace(command, "ROLE", user, 1), asRoot)
					}
				}
				require.LessOrEqual(t, len(given), 10, "%v", given)
			}
		})
	}
}

func addUser(t *testing.T, root *clientv3.Client, user string) {
	t.Helper()
	testkit.Do(t, func(ctx context.Context) error { _, err := root.UserAdd(ctx, user, testkit.Password); return err })
}

// errMissed is a part that etcd did not refuse, and that did not work.
var errMissed = errors.New("nobody was told")
