// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const providerConfig = `
dubbo:
  application:
    name: configured-provider
  registries:
    etcd:
      protocol: etcdv3
      registry-type: interface
      use-as-meta-report: false
      address: $ETCD
      group: shop
      timeout: 3s
      params:
        session: 600000 # milliseconds, as in Dubbo for Java
  protocols:
    tri:
      name: tri
      ip: $IP
      port: $PORT
  provider:
    services:
      /org.e2e.Greet:: # what the service calls itself
        interface: org.e2e.Greet
        group: red
        version: 1.2.0
  shutdown:
    step-timeout: 1s
    consumer-update-wait-time: 500ms
    offline-request-window-timeout: 200ms
`

const consumerConfig = `
dubbo:
  application:
    name: configured-consumer
  registries:
    etcd:
      protocol: etcdv3
      registry-type: interface
      use-as-meta-report: false
      address: etcdv3://$ETCD
      group: shop
      params:
        session: 10m
  protocols: # dubbo.Load opens a port for consumers, too
    tri:
      name: tri
      ip: $IP
      port: $PORT
  consumer:
    check: false
    references:
      greetClient:
        protocol: tri
        interface: org.e2e.Greet
        group: red
        version: 1.2.0
  shutdown:
    step-timeout: 1s
    consumer-update-wait-time: 100ms
`

// writeConfig writes a configuration file with the address of etcd, and one of
// its own for the process, in it.
func writeConfig(t *testing.T, text, etcd, address string) string {
	t.Helper()
	ip, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	text = strings.NewReplacer("$ETCD", etcd, "$IP", ip, "$PORT", port).Replace(text)
	path := filepath.Join(t.TempDir(), "dubbogo.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// bootstrap is all that a service has in its own file when the rest is in etcd.
const bootstrap = `
dubbo:
  config-center:
    protocol: etcdv3
    address: $ETCD
    group: e2e
    data-id: $NAME
    timeout: 5s
`

// publishConfig puts a configuration into etcd, and writes a file that says only
// where it is.
func publishConfig(t *testing.T, text string, etcd *etcdtest.Server, name, address string) (path string) {
	t.Helper()
	content, err := os.ReadFile(writeConfig(t, text, etcd.Endpoint(), address))
	require.NoError(t, err)
	testkit.Put(t, etcd.Client(), "/dubbo/config/e2e/"+name, string(content))
	return writeConfig(t, strings.ReplaceAll(bootstrap, "$NAME", name), etcd.Endpoint(), address)
}

func TestServicesOfWhichTheWholeConfigurationIsInEtcd(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	at := address(t)
	a := start(t, spec{
		Name: "a", Address: at, Services: []service{greet},
		Config: publishConfig(t, providerConfig, etcd, "provider.yaml", at),
	})
	c := start(t, spec{
		Name: "consumer", References: []service{greet},
		Config: publishConfig(t, consumerConfig, etcd, "consumer.yaml", address(t)),
	})
	registered := awaitKeys(t, etcd, "/shop/org.e2e.Greet/providers/", 1)[0]
	assert.Equal(t, at, registered.url.Host)
	assert.Equal(t, "red", registered.param("group"))
	assert.Equal(t, "configured-provider", registered.param("application"))
	awaitCalls(t, c, greet, a)
}

// An error would not keep dubbo-go from starting the service without.
func TestAServiceWaitsForItsConfiguration(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	at := address(t)
	config := publishConfig(t, providerConfig, etcd, "provider.yaml", at)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(string(text), "timeout: 5s", "timeout: 10m", 1)), 0o600))
	etcd.Kill()
	a := start(t, spec{Name: "a", Address: at, Services: []service{greet}, Config: config})
	eventually(t, func() string { return "it does not look for etcd" }, func() bool {
		log, err := os.ReadFile(a.log())
		require.NoError(t, err)
		return strings.Contains(string(log), "cannot connect to etcd")
	})
	etcd.Start()
	assert.Equal(t, at, awaitKeys(t, etcd, "/shop/org.e2e.Greet/providers/", 1)[0].url.Host)
}

func TestConfiguredProviderAndConsumerFindEachOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	at := address(t)
	a := start(t, spec{
		Name: "a", Address: at, Services: []service{greet},
		Config: writeConfig(t, providerConfig, etcd.Endpoint(), at),
	})
	c := start(t, spec{
		Name: "consumer", References: []service{greet},
		Config: writeConfig(t, consumerConfig, etcd.Endpoint(), address(t)),
	})
	const root = "/shop/org.e2e.Greet/"
	registered := awaitKeys(t, etcd, root+"providers/", 1)[0]
	assert.Equal(t, at, registered.url.Host)
	assert.Equal(t, "red", registered.param("group"))
	assert.Equal(t, "1.2.0", registered.param("version"))
	assert.Equal(t, "configured-provider", registered.param("application"))
	awaitKeys(t, etcd, root+"consumers/", 1)
	eventually(t, func() string { return "the consumer is not ready" }, func() bool { return c.report().Ready })
	awaitCalls(t, c, greet, a)
	assert.Len(t, testkit.Leases(t, etcd.Client()), 2)
	for _, lease := range testkit.Leases(t, etcd.Client()) {
		granted, err := etcd.Client().TimeToLive(t.Context(), lease)
		require.NoError(t, err)
		assert.EqualValues(t, 600, granted.GrantedTTL)
	}

	// A process that used dubbo.Load ends only a minute after it was told to:
	// dubbo-go waits for its file watcher, which it counts twice. Nothing may be
	// left of the registrations long before.
	c.terminate()
	a.terminate()
	eventually(t, func() string { return "leases are left" }, func() bool { return len(testkit.Leases(t, etcd.Client())) == 0 })
	assert.Empty(t, keys(t, etcd, root+"providers/"))
	assert.Empty(t, keys(t, etcd, root+"consumers/"))
}
