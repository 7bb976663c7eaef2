// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// pixiu is dubbo-go-pixiu v1.0.0. It cannot be built with this registry: its client
// is made of dubbo-go's package config, which v3.3.2 has no more. So it has the
// registry on etcd of its own dubbo-go.
var pixiu = checkout{
	variable: "PIXIU",
	program:  "./cmd/etcd",
	overlay:  map[string]string{"cmd/etcd/main.go": "pixiu/main.go"},
	empty:    []string{"vimagination.zapto.org/byteio", "vimagination.zapto.org/memio"}, // of filters that are left out
}

// gateway is a pixiu that calls whom a URL names.
type gateway struct {
	t  *testing.T
	at string
}

func startPixiu(t *testing.T, etcd *etcdtest.Server) *gateway {
	t.Helper()
	exe := pixiu.executable(t)
	home := t.TempDir()
	g := &gateway{t, address(t)}
	config := filepath.Join(home, "conf.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
static_resources:
  listeners:
    - name: net/http
      protocol_type: HTTP
      address: {socket_address: {address: 127.0.0.1, port: %s}}
      filter_chains:
        filters:
          - name: dgp.filter.httpconnectionmanager
            config:
              route_config:
                routes:
                  - match: {prefix: /}
                    route: {cluster: any, cluster_not_found_response_code: 505}
              http_filters:
                - name: dgp.filter.http.dubboproxy
                  config:
                    dubboProxyConfig:
                      auto_resolve: true
                      registries:
                        etcd: {protocol: etcdv3, timeout: 5s, address: %q}
      config: {idle_timeout: 5s, read_timeout: 5s, write_timeout: 5s}
`, portOf(g.at), etcd.Endpoint()), 0o600))
	runProgram(t, exe, home, "start", "-c", config)
	testkit.Await(t, starting, func() bool {
		answer, err := http.Get("http://" + g.at)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}, "nobody listens")
	return g
}

// call calls a service as pixiu has it: generically.
func (g *gateway) call(service, group, version, who string) string {
	g.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+g.at+"/any/"+service+"/greet",
		strings.NewReader(fmt.Sprintf(`{"types": "java.lang.String", "values": %q}`, who)))
	require.NoError(g.t, err)
	for name, value := range map[string]string{
		"Content-Type":                  "application/json",
		"x-dubbo-http1.1-dubbo-version": "2.0",
		"x-dubbo-service-protocol":      "dubbo",
		"x-dubbo-service-group":         group,
		"x-dubbo-service-version":       version,
	} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(g.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(g.t, err)
	return fmt.Sprint(answer.StatusCode, " ", string(text))
}

// answers waits until exactly these answer.
func (g *gateway) answers(service, group, version string, want ...string) {
	g.t.Helper()
	var seen []string
	_, ok := testkit.Poll(testkit.LongPatience, 0, func() bool {
		seen = nil
		for range 20 * len(want) {
			seen = append(seen, g.call(service, group, version, "Ana"))
		}
		slices.Sort(seen)
		seen = slices.Compact(seen)
		return slices.Equal(seen, want)
	})
	require.True(g.t, ok, "it is answered %q, want %q", seen, want)
}

func TestPixiuCallsProvidersByInterface(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	plainAt := func(at string) string { return "serve=dubbo://" + at + "/" + plainInterface }
	startGo(t, "first", registered(etcd, "interface"), "weight=100", plainAt(address(t)))
	g := startPixiu(t, etcd)
	g.answers(plainInterface, "", "", `200 "first / Ana"`)
	second := startGo(t, "second", registered(etcd, "interface"), "weight=100", plainAt(address(t)))
	g.answers(plainInterface, "", "", `200 "first / Ana"`, `200 "second / Ana"`)
	second.stop()
	g.answers(plainInterface, "", "", `200 "first / Ana"`)
}

// In one gateway its registry mixes what several references are told.
func TestPixiuCallsAGroupAndVersion(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	startGo(t, "any", registered(etcd, "all"), "weight=100", "serve=dubbo://"+address(t)+"/"+plainInterface)
	startGo(t, "versioned", registered(etcd, "all"), "weight=100", "serve=dubbo://"+address(t)+"/"+plainInterface+"?group=g&version=1.0.0")
	startPixiu(t, etcd).answers(plainInterface, "g", "1.0.0", `200 "versioned g/1.0.0 Ana"`)
	startPixiu(t, etcd).answers(plainInterface, "", "", `200 "any / Ana"`)
}

func TestPixiuFindsNoApplications(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	startGo(t, "provider", registered(etcd, "service"), "serve=dubbo://"+address(t)+"/"+plainInterface)
	require.Contains(t, startPixiu(t, etcd).call(plainInterface, "", "", "Ana"), "No provider available")
}
