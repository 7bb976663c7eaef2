// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// secretive is the configuration of an application with everything that asks
// etcd: registries of both types, the metadata report that the registry is as
// well, the config center.
const secretive = `
dubbo:
  logger:
    level: debug
  application:
    name: $NAME
    metadata-type: remote
  registries:
    etcd:
      protocol: etcdv3
      registry-type: all
      address: $ETCD
      username: shop
      password: "$PASSWORD"
      timeout: 2s
      params:
        session: 3s
        save.file: true
        password-file: $FILE
  config-center:
    protocol: etcdv3
    address: $ETCD
    username: shop
    password: "$PASSWORD"
    data-id: none.yaml
    timeout: 2s
    params:
      password-file: $FILE
  protocols:
    tri:
      name: tri
      ip: $IP
      port: $PORT
  provider:
    services:
      /org.e2e.Greet:: # what the service calls itself
        interface: org.e2e.Greet
        token: $TOKEN
  consumer:
    check: false
    references:
      greetClient:
        protocol: tri
        interface: org.e2e.Greet
  shutdown:
    step-timeout: 1s
    consumer-update-wait-time: 100ms
`

// The password of etcd is in no line of the log, file or key, whatever becomes of
// etcd and of the password. Where it stands in the configuration, dubbo-go's own
// lines have it.
func TestNoSecretIsToldOrWritten(t *testing.T) {
	t.Parallel()
	const file = "password-file"
	for _, where := range []string{file, "password"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			root := testkit.EnableAuth(t, etcd, "shop", "/")
			config := func(name, at string) string {
				password, path := testkit.Password, ""
				if where == file {
					password, path = "", filepath.Join(t.TempDir(), "password")
					require.NoError(t, os.WriteFile(path, []byte(testkit.Password), 0o600))
				}
				text := strings.NewReplacer("$NAME", name, "$PASSWORD", password, "$FILE", path, "$TOKEN", testkit.Token).Replace(secretive)
				return writeConfig(t, text, etcd.Endpoint(), at)
			}
			at := address(t)
			a := start(t, spec{Name: "a", Address: at, Services: []service{greet}, Config: config("shop", at)})
			c := start(t, spec{Name: "consumer", References: []service{greet}, Config: config("customer", address(t))})
			eventually(t, func() string { return "the consumer is not ready" }, func() bool { return c.report().Ready })
			awaitCalls(t, c, greet, a)

			change := func(password string) {
				testkit.Do(t, func(ctx context.Context) error {
					_, err := root.UserChangePassword(ctx, "shop", password)
					return err
				})
			}
			change("another")
			testkit.DeleteAll(t, root, "/") // what is wanted cannot be written
			awaitLog(t, a, "does not let this process in")
			change(testkit.Password)
			eventually(t, func() string { return "the provider is not registered again" }, func() bool {
				return len(testkit.Keys(t, root, "/dubbo/org.e2e.Greet/providers/")) == 1
			})
			etcd.Kill()
			awaitLog(t, c, "lost the connection")
			etcd.Start()
			awaitCalls(t, c, greet, a)
			written := ""
			for name, value := range testkit.Values(t, root, "") {
				written += name + " " + value + "\n"
			}
			assert.Contains(t, written, testkit.Token, "providers tell consumers their token")
			assert.NotContains(t, written, testkit.Password, "etcd's keys")

			for _, p := range []*process{a, c} {
				p.kill()
				var caches int
				require.NoError(t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() {
						return err
					}
					content, err := os.ReadFile(path)
					if filepath.Ext(path) == ".cache" {
						caches++
					}
					for i, line := range strings.Split(string(content), "\n") {
						if ours := path == p.log() && strings.Contains(line, "[etcdv3]"); where == file || path != p.log() || ours {
							assert.False(t, testkit.HasSecret(line, ours), "%s:%d: %s", path, i+1, line)
						}
					}
					return err
				}))
				if p == c {
					assert.Positive(t, caches, "the consumer has no cache file")
				}
			}
		})
	}
}
