// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

func keysOf(set *gxset.HashSet) []string {
	var keys []string
	for _, key := range set.Values() {
		keys = append(keys, key.(string))
	}
	slices.Sort(keys)
	return keys
}

func TestConfigurationIsPublishedReadListedAndRemoved(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	inShop := config_center.WithGroup("shop")
	for _, read := range []func(string, ...config_center.Option) (string, error){c.GetProperties, c.GetRule, c.GetInternalProperty} {
		value, err := read("dubbo.yaml", inShop)
		require.NoError(t, err)
		assert.Empty(t, value)
	}
	require.NoError(t, c.PublishConfig("dubbo.yaml", "shop", "a: 1\n"))
	require.NoError(t, c.PublishConfig("other.yaml", "shop", "x"))
	require.NoError(t, c.PublishConfig("dubbo.yaml", "", "b: 2\n"))
	for _, read := range []func(string, ...config_center.Option) (string, error){c.GetProperties, c.GetRule, c.GetInternalProperty} {
		value, err := read("dubbo.yaml", inShop)
		require.NoError(t, err)
		assert.Equal(t, "a: 1\n", value)
		value, err = read("dubbo.yaml")
		require.NoError(t, err)
		assert.Equal(t, "b: 2\n", value, "no group is the group dubbo")
	}
	response, err := etcd.Client().Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	require.NoError(t, err)
	var stored []string
	for _, kv := range response.Kvs {
		stored = append(stored, string(kv.Key))
	}
	assert.Equal(t, []string{"/dubbo/config/dubbo/dubbo.yaml", "/dubbo/config/shop/dubbo.yaml", "/dubbo/config/shop/other.yaml"}, stored)

	keys, err := c.GetConfigKeysByGroup("shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"dubbo.yaml", "other.yaml"}, keysOf(keys))
	keys, err = c.GetConfigKeysByGroup("none")
	require.NoError(t, err)
	assert.Empty(t, keysOf(keys))

	require.NoError(t, c.RemoveConfig("dubbo.yaml", "shop"))
	require.NoError(t, c.RemoveConfig("dubbo.yaml", "shop"), "again")
	keys, err = c.GetConfigKeysByGroup("shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"other.yaml"}, keysOf(keys))

	_, err = c.GetProperties("")
	assert.ErrorContains(t, err, "data-id")
}

func TestNamespaceIsTheRoot(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint(), "config-center.namespace", "tenant", "config-center.group", "shop")
	put(t, etcd, "/tenant/config/dubbo/"+rule, "x")
	requireRule(t, c, "x") // rules are in the group dubbo, whichever group is configured
	l := &listener{}
	c.AddListener(rule, l)
	l.requireLast(t, add("x"))
}

func TestParser(t *testing.T) {
	t.Parallel()
	c := newCenter(t, "127.0.0.1:1")
	assert.IsType(t, &parser.DefaultConfigurationParser{}, c.Parser())
	c.SetParser(nil)
	assert.Nil(t, c.Parser())
}

func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	put(t, etcd, ruleInDB, "x")
	gone := etcdtest.Reserve(t)
	requireRule(t, newCenter(t, gone.Endpoint()+", "+etcd.Endpoint()), "x")
	requireRule(t, newCenter(t, etcd.Endpoint(), "backup", gone.Endpoint()), "x")
}

func TestTLSAndCredentials(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, true))
	ctx, client := t.Context(), etcd.Client()
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", "s3cret"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "shop", "s3cret"); return err },
		func() error { _, err := client.RoleAdd(ctx, "shop"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "shop", "shop"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "shop", "/dubbo/config/", clientv3.GetPrefixRangeEnd("/dubbo/config/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, step())
	}
	issued := ca.Issue("shop")
	params := []string{"ca-cert-file", ca.CertFile, "tls-cert-file", issued.CertFile, "tls-key-file", issued.KeyFile}
	as := func(password string, more ...string) config_center.DynamicConfiguration {
		c, err := centerAt(etcd.Endpoint(), "shop", password, append(more, params...)...)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.(io.Closer).Close()) })
		return c
	}
	c := as("s3cret")
	require.NoError(t, c.PublishConfig(rule, "", "x"))
	l := &listener{}
	c.AddListener(rule, l)
	l.requireLast(t, add("x"))

	begun := time.Now()
	_, err := as("wr0ng", "config-center.timeout", "60s").GetRule(rule)
	assert.ErrorContains(t, err, "authentication failed")
	assert.NotContains(t, err.Error(), "wr0ng")
	_, err = as("s3cret", "config-center.namespace", "other").GetProperties("dubbo.yaml")
	assert.ErrorContains(t, err, "permission denied")
	assert.Less(t, time.Since(begun), 20*time.Second, "it is an error at once")
}

func TestWrongSettingsAreAnErrorOfTheFactory(t *testing.T) {
	t.Parallel()
	_, err := centerAt("127.0.0.1:1", "", "", "config-center.timeout", "soon")
	assert.ErrorContains(t, err, "config-center.timeout")
	_, err = centerAt("127.0.0.1:1", "shop", "")
	assert.ErrorContains(t, err, "without a password")
}

func TestAClosedCenterAnswersWithErrors(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	l := &listener{}
	c.AddListener(rule, l)
	require.NoError(t, c.PublishConfig(rule, "", "x"))
	l.requireLast(t, add("x"))
	require.NoError(t, c.(io.Closer).Close())
	require.NoError(t, c.(io.Closer).Close(), "again")
	_, err := c.GetRule(rule)
	assert.Error(t, err)
	assert.Error(t, c.PublishConfig(rule, "", "y"))
	c.AddListener(rule, &listener{})
	c.RemoveListener(rule, l)
	put(t, etcd, ruleInDB, "z")
	time.Sleep(100 * time.Millisecond)
	assert.Len(t, l.all(), 1)
}

func TestEtcdThatIsAwayIsAnErrorWithinTheTimeout(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	c := newCenter(t, etcd.Endpoint(), "config-center.timeout", "700ms")
	begun := time.Now()
	_, err := c.GetProperties("dubbo.yaml")
	require.ErrorContains(t, err, etcd.Endpoint())
	require.ErrorContains(t, err, "is it running there")
	_, err = c.GetRule(rule)
	require.Error(t, err)
	require.Error(t, c.PublishConfig(rule, "", "x"))
	require.Error(t, c.RemoveConfig(rule, ""))
	_, err = c.GetConfigKeysByGroup("")
	require.Error(t, err)
	assert.Less(t, time.Since(begun), 4*time.Second)
}

// A service that starts together with etcd is not to start without its
// configuration.
func TestConfigurationIsWaitedFor(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	put(t, etcd, "/dubbo/config/dubbo/dubbo.yaml", "x")
	etcd.Kill()
	c := newCenter(t, etcd.Endpoint(), "config-center.timeout", fmt.Sprint(patience))
	time.AfterFunc(time.Second, etcd.Start)
	value, err := c.GetProperties("dubbo.yaml")
	require.NoError(t, err)
	assert.Equal(t, "x", value)
}
