// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// observedConfig is what docs/metrics.md says, and what is served or called.
const observedConfig = `
dubbo:
  application:
    name: $NAME
  metrics:
    enable: true
    port: "$METRICS"
    path: /metrics
    enable-registry: true
    enable-metadata: true
    probe:
      enabled: true
      port: "$PROBE"
  registries:
    etcd:
      protocol: etcdv3
      registry-type: $TYPE
      address: $ETCD
      username: $USER
      password: $PASSWORD
      timeout: 2s
      params:
        session: 3s
  protocols:
    tri:
      name: tri
      ip: $IP
      port: $PORT
  shutdown:
    step-timeout: 1s
    consumer-update-wait-time: 500ms
    offline-request-window-timeout: 200ms
`

const (
	observedProvider = observedConfig + `
  provider:
    services:
      /org.e2e.Greet::
        interface: org.e2e.Greet
`
	observedConsumer = observedConfig + `
  consumer:
    check: false
    references:
      greetClient:
        protocol: tri
        interface: org.e2e.Greet
`
)

// observed is a process with dubbo-go's metrics and probe.
type observed struct {
	*process
	metrics, probe string // host:port
}

func startObserved(t *testing.T, s spec, config, registryType string, etcd *etcdtest.Server, user string) observed {
	t.Helper()
	o := observed{metrics: address(t), probe: address(t)}
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		return port
	}
	password := ""
	if user != "" {
		password = testkit.Password
	}
	config = strings.NewReplacer("$NAME", s.Name, "$METRICS", port(o.metrics), "$PROBE", port(o.probe), "$TYPE", registryType, "$USER", user, "$PASSWORD", password).Replace(config)
	if s.Address == "" {
		s.Address = address(t)
	}
	s.Config = writeConfig(t, config, etcd.Endpoint(), s.Address)
	o.process = start(t, s)
	return o
}

// get asks one of the endpoints; without an answer the status is 0.
func (o observed) get(endpoint, path string) (status int, body string) {
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+endpoint+path, nil)
	require.NoError(o.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(o.t, err)
	return response.StatusCode, string(content)
}

// awaitReady waits until the readiness probe answers with a status, and a text.
func (o observed) awaitReady(want int, text string) {
	o.t.Helper()
	var status int
	var body string
	_, ok := testkit.Poll(testkit.LongPatience, 20e6, func() bool {
		status, body = o.get(o.probe, "/ready")
		return status == want && strings.Contains(body, text)
	})
	require.True(o.t, ok, "/ready is %d: %s; want %d: %s", status, body, want, text)
}

// requireAlive checks that Kubernetes has no reason to restart the process.
func (o observed) requireAlive() {
	o.t.Helper()
	status, body := o.get(o.probe, "/live")
	assert.Equal(o.t, http.StatusOK, status, body)
}

// What Kubernetes asks: dubbo-go's own probe.
func TestTheReadinessProbeSaysWhetherAProviderIsRegistered(t *testing.T) {
	t.Parallel()
	for _, registryType := range []string{"interface", "service"} {
		t.Run(registryType, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Reserve(t)
			a := startObserved(t, spec{Name: "a", Services: []service{greet}}, observedProvider, registryType, etcd, "")
			a.awaitReady(http.StatusServiceUnavailable, "not registered")
			a.requireAlive()

			etcd.Start()
			a.awaitReady(http.StatusOK, "ok")

			etcd.Kill()
			a.awaitReady(http.StatusServiceUnavailable, "not registered") // when the lease has run out
			a.requireAlive()
			etcd.Start()
			a.awaitReady(http.StatusOK, "ok")
			prefix := providersOf(greet)
			if registryType == "service" {
				prefix = "/services/"
			}
			assert.Len(t, testkit.List(t, etcd.Client(), prefix).Kvs, 1)
		})
	}
}

func TestTheReadinessProbeSaysThatARightIsMissing(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/")
	a := startObserved(t, spec{Name: "a", Services: []service{greet}}, observedProvider, "service", etcd, "shop")
	a.awaitReady(http.StatusOK, "ok")
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.RoleRevokePermission(ctx, "shop", "/", clientv3.GetPrefixRangeEnd("/"))
		return err
	})
	a.awaitReady(http.StatusServiceUnavailable, "etcdctl role grant-permission")
	a.requireAlive()
	testkit.GrantPrefix(t, root, "shop", "/")
	a.awaitReady(http.StatusOK, "ok")
}

func TestTheReadinessProbeSaysWhetherAConsumerKnowsItsProviders(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Reserve(t)
	c := startObserved(t, spec{Name: "c", References: []service{greet}}, observedConsumer, "interface", etcd, "")
	c.awaitReady(http.StatusServiceUnavailable, "have not been read yet")
	etcd.Start()
	c.awaitReady(http.StatusOK, "ok")
	status, body := c.get(c.metrics, "/metrics")
	require.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, fmt.Sprintf(`dubbo_registry_etcd_ready{application_name="c",application_version="",cluster=%q`, etcd.Endpoint()))
}
