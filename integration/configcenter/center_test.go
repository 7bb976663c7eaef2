// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

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
	assert.Equal(t, []string{"/dubbo/config/dubbo/dubbo.yaml", "/dubbo/config/shop/dubbo.yaml", "/dubbo/config/shop/other.yaml"}, slices.Sorted(maps.Keys(testkit.Values(t, etcd.Client(), ""))))

	keys, err := c.GetConfigKeysByGroup("shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"dubbo.yaml", "other.yaml"}, testkit.Strings(keys))
	keys, err = c.GetConfigKeysByGroup("none")
	require.NoError(t, err)
	assert.Empty(t, testkit.Strings(keys))

	require.NoError(t, c.RemoveConfig("dubbo.yaml", "shop"))
	require.NoError(t, c.RemoveConfig("dubbo.yaml", "shop"), "again")
	keys, err = c.GetConfigKeysByGroup("shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"other.yaml"}, testkit.Strings(keys))

	_, err = c.GetProperties("")
	assert.ErrorContains(t, err, "data-id")
}

func TestNamespaceIsTheRoot(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint(), "config-center.namespace", "tenant", "config-center.group", "shop")
	testkit.Put(t, etcd.Client(), "/tenant/config/dubbo/"+rule, "x")
	requireRule(t, c, "x") // rules are in the group dubbo, whichever group is configured
	l := &listener{}
	c.AddListener(rule, l)
	l.RequireLast(t, add("x"))
}

func TestParser(t *testing.T) {
	t.Parallel()
	c := newCenter(t, "127.0.0.1:1")
	urls, err := c.Parser().ParseToUrls("scope: application\nkey: shop\nenabled: true\nconfigs: [{side: consumer, addresses: [0.0.0.0], parameters: {timeout: \"7\"}}]")
	require.NoError(t, err)
	require.NotEmpty(t, urls)
	assert.Equal(t, "7", urls[0].GetParam("timeout", ""))
	c.SetParser(nil)
	assert.Nil(t, c.Parser())
}

func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), ruleInDB, "x")
	gone := etcdtest.Reserve(t)
	requireRule(t, newCenter(t, gone.Endpoint()+", "+etcd.Endpoint()), "x")
	requireRule(t, newCenter(t, etcd.Endpoint(), "backup", gone.Endpoint()), "x")
}

func TestTLSAndCredentials(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, true))
	testkit.EnableAuth(t, etcd, "shop", "/dubbo/config/")
	issued := ca.Issue("shop")
	params := []string{"ca-cert-file", ca.CertFile, "tls-cert-file", issued.CertFile, "tls-key-file", issued.KeyFile}
	as := func(password string, more ...string) config_center.DynamicConfiguration {
		c, err := testkit.OpenCenter(etcd.Endpoint(), testkit.As("shop", password, append(more, params...)...)...)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.(io.Closer).Close()) })
		return c
	}
	c := as(testkit.Password)
	require.NoError(t, c.PublishConfig(rule, "", "x"))
	l := &listener{}
	c.AddListener(rule, l)
	l.RequireLast(t, add("x"))

	begun := time.Now()
	_, err := as("wr0ng", "config-center.timeout", "60s").GetRule(rule)
	assert.ErrorContains(t, err, "authentication failed")
	assert.NotContains(t, err.Error(), "wr0ng")
	_, err = as(testkit.Password, "config-center.namespace", "other").GetProperties("dubbo.yaml")
	assert.ErrorContains(t, err, "permission denied")
	assert.Less(t, time.Since(begun), 20*time.Second, "it is an error at once")
}

func TestWrongSettingsAreAnErrorOfTheFactory(t *testing.T) {
	t.Parallel()
	_, err := testkit.OpenCenter("127.0.0.1:1", "config-center.timeout", "soon")
	assert.ErrorContains(t, err, "config-center.timeout")
	_, err = testkit.OpenCenter("127.0.0.1:1", testkit.As("shop", "")...)
	assert.ErrorContains(t, err, "without a password")
}

func TestAClosedCenterAnswersWithErrors(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	c := newCenter(t, etcd.Endpoint())
	l := &listener{}
	c.AddListener(rule, l)
	require.NoError(t, c.PublishConfig(rule, "", "x"))
	l.RequireLast(t, add("x"))
	require.NoError(t, c.(io.Closer).Close())
	require.NoError(t, c.(io.Closer).Close(), "again")
	_, err := c.GetRule(rule)
	assert.Error(t, err)
	assert.Error(t, c.PublishConfig(rule, "", "y"))
	c.AddListener(rule, &listener{})
	c.RemoveListener(rule, l)
	testkit.Put(t, etcd.Client(), ruleInDB, "z")
	time.Sleep(100 * time.Millisecond)
	assert.Len(t, l.All(), 1)
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
	testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/dubbo.yaml", "x")
	etcd.Kill()
	c := newCenter(t, etcd.Endpoint(), "config-center.timeout", fmt.Sprint(testkit.Patience))
	time.AfterFunc(time.Second, etcd.Start)
	value, err := c.GetProperties("dubbo.yaml")
	require.NoError(t, err)
	assert.Equal(t, "x", value)
}
