// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"gopkg.in/yaml.v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// compose is what is looked at of deploy/compose.yaml; deploy/ has the test of the rest.
type compose struct {
	Member struct {
		Command     []string
		Healthcheck struct{ Test []string }
	} `yaml:"x-member"`
}

func composed(t *testing.T) (c compose) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "deploy", "compose.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &c))
	require.Equal(t, "etcd", c.Member.Command[0])
	return c
}

// Nothing of this needs Docker: an etcd with the flags of the members, the users and roles
// as they are made there, twice, and the examples with the configurations of the file.
func TestExamplesCallEachOtherInWhatComposeMakesOfEtcd(t *testing.T) {
	t.Parallel()
	var flags []string
	for _, flag := range composed(t).Member.Command[1:] {
		if !regexp.MustCompile(`^--(data-dir|listen-|initial-)`).MatchString(flag) { // of the machine
			flags = append(flags, flag)
		}
	}
	require.NotEmpty(t, flags)
	etcd := etcdtest.Start(t, etcdtest.WithFlags(flags...))

	users, err := os.ReadFile(filepath.Join(root, "deploy", "compose", "users.sh"))
	require.NoError(t, err)
	env := []string{"PAGE=" + filepath.Join(root, "docs", "security.md"), "ETCDCTL_USER=root:" + testkit.Password}
	for _, user := range []string{"ROOT", "GREETER", "SHOP", "CONSOLE"} {
		env = append(env, user+"_PASSWORD="+testkit.Password)
	}
	for range 2 {
		etcd.Shell(string(users), env...)
	}
	_, err = etcd.NewClient(nil).Get(t.Context(), "/")
	require.Error(t, err, "etcd asks for a user")
	health := composed(t).Member.Healthcheck.Test
	require.NotEmpty(t, health)
	_, path, ok := strings.Cut(health[len(health)-1], ":2381")
	require.True(t, ok, "%v asks where --listen-metrics-urls is", health)
	requireAnswer(t, etcd, path) // though it names none

	startExample(t, etcd, "provider")
	consumer := startExample(t, etcd, "consumer")
	said := ""
	ok = testkit.Eventually(func() bool {
		content, err := os.ReadFile(consumer)
		require.NoError(t, err)
		said = string(content)
		return strings.Contains(said, "this is provider")
	})
	require.True(t, ok, "the consumer says:\n%s", said)
	asRoot := etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "root", testkit.Password })
	assert.Len(t, testkit.Keys(t, asRoot, "/dubbo/com.example.Greeter/consumers/"), 1)
}

// startExample starts one with its configuration, but for what a machine of its own would
// have, and returns where its output is.
func startExample(t *testing.T, etcd *etcdtest.Server, name string) (output string) {
	t.Helper()
	dir := t.TempDir()
	program, config := filepath.Join(dir, name), filepath.Join(dir, "dubbogo.yaml")
	build := exec.Command("go", "build", "-o", program, "./"+name)
	build.Dir = filepath.Join(root, "examples")
	build.Env = append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	content, err := os.ReadFile(filepath.Join(root, "deploy", "compose", name+".yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte(testkit.Password), 0o600))
	ports := [2]string{}
	for i := range ports {
		_, ports[i], err = net.SplitHostPort(etcdtest.Reserve(t).Endpoint())
		require.NoError(t, err)
	}
	own := regexp.MustCompile(`/run/secrets/\S+`).ReplaceAllString(string(content), filepath.Join(dir, "password"))
	own = strings.NewReplacer("etcd-0:2379,etcd-1:2379,etcd-2:2379", etcd.Endpoint(), "port: 20000", "port: "+ports[0]+"\n      ip: 127.0.0.1",
		"enable: true", `enable: true`+"\n    port: \""+ports[1]+`"`).Replace(own)
	require.NoError(t, os.WriteFile(config, []byte(own), 0o600))

	log, err := os.Create(filepath.Join(dir, "output"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DUBBO_GO_CONFIG_PATH="+config, "HOME="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return log.Name()
}
