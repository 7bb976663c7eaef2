// SPDX-License-Identifier: Apache-2.0

package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T, content string) ([]Service, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dubbo.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return Load(path)
}

func TestTheConfigurationIsReadAsTheServiceReadsIt(t *testing.T) {
	t.Setenv("SHOP_PASSWORD", "s3cr3t")
	services, err := load(t, `
dubbo:
  application:
    name: shop
    metadata-type: remote
  registries:
    other: {protocol: nacos, address: "127.0.0.1:8848"}
    b:
      protocol: etcdv3
      registry-type: all
      address: etcd-1:2379, etcd-2
      timeout: 3s
      group: /blue/
      namespace: tenant
      username: shop
      params: {session: "15000", password-env: SHOP_PASSWORD, tls-server-name: etcd, registry.timeout: 9s}
    a:
      address: ${elsewhere:etcdv3://10.0.0.1}
  provider:
    services:
      Greeter: {interface: com.example.Greeter}
      Unnamed: {}
  consumer:
    references:
      Stock: {interface: com.example.Stock}
`)
	require.NoError(t, err)
	require.Len(t, services, 2)
	a, b := services[0], services[1]
	require.Equal(t, []string{"10.0.0.1:2379"}, a.Endpoints())
	require.Equal(t, "service", a.Level)
	require.Equal(t, DefaultSession, a.Session)
	require.Equal(t, DefaultTimeout, a.Requests)
	require.False(t, a.UsesTLS())
	require.Equal(t, "/dubbo", a.Root())
	require.Equal(t, "/services", a.Services())

	require.Equal(t, "b", b.Registry)
	require.Equal(t, "shop", b.Application)
	require.Equal(t, "all", b.Level)
	require.Equal(t, []string{"etcd-1:2379", "etcd-2:2379"}, b.Endpoints())
	require.True(t, b.UsesTLS())
	require.Equal(t, 15*time.Second, b.Session)
	require.Equal(t, 3*time.Second, b.Requests)
	require.Equal(t, "s3cr3t", b.Password)
	require.Equal(t, "/tenant/blue", b.Root())
	require.Equal(t, "/tenant/blue/mapping", b.Mapping())
	require.Equal(t, "/tenant/services", b.Services())
	require.Equal(t, "/tenant/config", b.Config())
	require.Equal(t, []string{"com.example.Greeter"}, b.Provides)
	require.Equal(t, []string{"com.example.Stock"}, b.Refers)
	require.True(t, b.Remote)
}

func TestAConfigurationThatCannotBeUsedSaysWhy(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":                     "cannot be read as dubbo-go does",
		"dubbo: [":             "cannot be read as dubbo-go does",
		"dubbo:\n  logger: {}": "no entry of dubbo.registries has protocol: etcdv3",
		"dubbo:\n  registries:\n    a: {protocol: etcdv3, address: 'h:1', params: {session: soon}}":     "dubbo.registries.a: etcdv3 registry: parameter session",
		"dubbo:\n  registries:\n    a: {protocol: etcdv3, address: 'h:1', username: u}":                 "without a password",
		"dubbo:\n  registries:\n    a: {protocol: etcdv3, address: 'h:1', params: {ca-cert-file: /no}}": "ca-cert-file",
	} {
		_, err := load(t, content)
		require.ErrorContains(t, err, want, content)
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAnAddressThatDubboGoTakesForAnotherRegistryIsRefused(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://127.0.0.1:12379":                  `dubbo-go takes "http"`,
		"https://10.0.0.1":                        `dubbo-go takes "https"`,
		"etcd://10.0.0.1:2379":                    `dubbo-go takes "etcd"`,
		"zookeeper://10.0.0.1:2181":               `dubbo-go takes "zookeeper"`,
		"http://10.0.0.1:2379,http://10.0.0.2":    "reads an address with :// in it as one URL",
		"10.0.0.1:2379,http://10.0.0.2:2379":      "reads an address with :// in it as one URL",
		"etcd-1:2379,http://etcd-2:2379":          "reads an address with :// in it as one URL",
		"etcdv3://etcd-1:2379,etcdv3://etcd-2":    "reads an address with :// in it as one URL",
		"etcdv3://10.0.0.1:2379, http://10.0.0.2": "reads an address with :// in it as one URL",
		"etcdv3://u:" + "s3cr3t@10.0.0.1:2379":    "the address has an @",
	} {
		_, err := load(t, "dubbo:\n  registries:\n    a: {protocol: etcdv3, address: '"+address+"'}")
		require.ErrorContains(t, err, "dubbo.registries.a: ", address)
		require.ErrorContains(t, err, want, address)
		require.NotContains(t, err.Error(), "s3cr3t")
		if !strings.Contains(address, "@") {
			require.ErrorContains(t, err, "write host:port without a scheme", address)
		}
	}
	for address, want := range map[string][]string{
		"etcdv3://10.0.0.1:2379":                {"10.0.0.1:2379"},
		"ETCDV3://10.0.0.1":                     {"10.0.0.1:2379"},
		"etcdv3://10.0.0.1:2379?backup=b":       {"10.0.0.1:2379"}, // dubbo-go drops it
		"10.0.0.1:2379,10.0.0.2:2379, 10.0.0.3": {"10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"},
	} {
		services, err := load(t, "dubbo:\n  registries:\n    a: {protocol: etcdv3, address: '"+address+"'}")
		require.NoError(t, err, address)
		require.Equal(t, want, services[0].Endpoints(), address)
	}
	_, err := load(t, "dubbo:\n  registries:\n    a: {protocol: zookeeper, address: '10.0.0.1,zookeeper://10.0.0.2'}\n    b: {protocol: etcdv3, address: h}")
	require.NoError(t, err, "another registry is none of its business")
}
