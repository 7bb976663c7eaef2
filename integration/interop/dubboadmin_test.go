// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// dubboAdmin is dubbo-admin in Go, as long as it used dubbo-go's registries:
// dubbo-cp of github.com/apache/dubbo-kubernetes, up to v0.2.0. Its control plane
// of Envoy needs go-control-plane as it was before it was split into modules.
var dubboAdmin = checkout{
	variable: "DUBBO_ADMIN",
	program:  "./app/dubbo-cp",
	overlay: map[string]string{
		"pkg/core/governance/governance_etcdv3.go": "dubboadmin/etcdv3.go",
		"pkg/xds/envoy/imports.go":                 "dubboadmin/imports.go", // imports all there is of Envoy
	},
	edits: append(withOurs(), "-replace=github.com/envoyproxy/go-control-plane=github.com/envoyproxy/go-control-plane@v0.13.1"),
	empty: []string{"github.com/envoyproxy/go-control-plane/envoy", "github.com/envoyproxy/go-control-plane/contrib", "github.com/envoyproxy/go-control-plane/ratelimit"},
}

// administrator is who uses a dubbo-admin.
type administrator struct {
	t    *testing.T
	at   string
	http *http.Client
}

func startDubboAdmin(t *testing.T, etcd *etcdtest.Server) *administrator {
	t.Helper()
	exe := dubboAdmin.executable(t)
	home := t.TempDir()
	a := &administrator{t: t, at: address(t), http: &http.Client{}}
	a.http.Jar, _ = cookiejar.New(nil)
	config := filepath.Join(home, "dubbo-cp.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
deployMode: universal
mode: zone
store:
  traditional:
    registry: {address: "etcdv3://%[1]s"}
    configCenter: {address: "etcdv3://%[1]s"}
    metadataReport: {address: "etcdv3://%[1]s"}
admin:
  port: %[2]s
  metricDashboards: {}
  traceDashboards: {}
  auth: {user: admin, password: secret, expirationTime: 7200}
dpServer: {port: %[3]s}
diagnostics: {serverPort: %[4]s}
multizone: {global: {dds: {grpcPort: %[5]s}}}
`, etcd.Endpoint(), portOf(a.at), portOf(address(t)), portOf(address(t)), portOf(address(t))), 0o600))
	runProgram(t, exe, home, "run", "-c", config)
	testkit.Await(t, starting, func() bool {
		answer, err := a.http.PostForm("http://"+a.at+"/api/v1/auth/login", url.Values{"user": {"admin"}, "password": {"secret"}})
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	}, "nobody can log in")
	return a
}

// ask sends a request, and returns the status and what comes back.
func (a *administrator) ask(method, path, body string) (int, string) {
	a.t.Helper()
	request, err := http.NewRequest(method, "http://"+a.at+"/api/v1/"+path, strings.NewReader(body))
	require.NoError(a.t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := a.http.Do(request)
	require.NoError(a.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(a.t, err)
	return answer.StatusCode, string(text)
}

// do is ask where it is a fault if it is refused.
func (a *administrator) do(method, path, body string) {
	a.t.Helper()
	status, text := a.ask(method, path, body)
	require.Equal(a.t, http.StatusOK, status, "%s %s: %s", method, path, text)
}

// awaits waits until a page shows something, or does not any more.
func (a *administrator) awaits(path string, shown bool, text string) {
	a.t.Helper()
	var status int
	var page string
	_, ok := testkit.Poll(testkit.LongPatience, 50*time.Millisecond, func() bool {
		status, page = a.ask(http.MethodGet, path, "")
		return status == http.StatusOK && strings.Contains(page, text) == shown
	})
	require.True(a.t, ok, "%s is %d %s; shows %q: want %v", path, status, page, text, shown)
}

const (
	applicationsPage = "application/search"
	servicesPage     = "service/search"
	instancesPage    = "instance/search"
	rulePage         = "condition-rule/" + plainInterface + "::.condition-router"
	tagPage          = "tag-rule/shop.tag-router"
	overridePage     = "configurator/shop.configurators"
)

func registered(etcd *etcdtest.Server, level string) string {
	return "registry=etcdv3://" + etcd.Endpoint() + "?session=10000&type=" + level
}

// An application has its services shown from its second instance on: of the first,
// AddInstance of pkg/core/registry/interface_context.go keeps no metadata.
func TestDubboAdminShowsProvidersByInterface(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	first, second := address(t), address(t)
	startGo(t, "first", registered(etcd, "interface"), "application=shop", "serve=dubbo://"+first+"/"+plainInterface)
	a := startDubboAdmin(t, etcd)
	a.awaits(instancesPage, true, first)
	a.awaits(applicationsPage, true, `"appName":"shop"`)
	a.awaits(servicesPage, false, plainInterface)
	p := startGo(t, "second", registered(etcd, "interface"), "application=shop", "serve=dubbo://"+second+"/"+plainInterface)
	a.awaits(instancesPage, true, second)
	a.awaits(servicesPage, true, plainInterface)
	a.awaits("service/distribution?side=provider&serviceName="+plainInterface, true, second)
	a.awaits("application/service/form?appName=shop&side=provider", true, plainInterface)
	p.stop()
	a.awaits(instancesPage, false, second)
	a.awaits(servicesPage, false, plainInterface)
	a.awaits(instancesPage, true, first)
}

// It learns of the interfaces of applications from the config center, where only
// Nacos has them: doAppSubscribe of pkg/core/registry/registry.go.
func TestDubboAdminShowsApplicationsWhoseInterfacesItIsTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	at := map[string]string{"told": address(t), "untold": address(t), "later": address(t)}
	testkit.Put(t, etcd.Client(), "/dubbo/config/mapping/"+protoInterface, "")
	startGo(t, "told", registered(etcd, "service"), "application=inn", "serve=tri://"+at["told"]+"/"+protoInterface)
	startGo(t, "untold", registered(etcd, "service"), "application=shop", "serve=tri://"+at["untold"]+"/"+plainInterface)
	a := startDubboAdmin(t, etcd)
	a.awaits(instancesPage, true, at["told"])
	a.awaits(servicesPage, true, protoInterface)
	p := startGo(t, "later", registered(etcd, "service"), "application=inn", "serve=tri://"+at["later"]+"/"+protoInterface)
	a.awaits(instancesPage, true, at["later"])
	p.stop()
	a.awaits(instancesPage, false, at["later"])
	a.awaits(instancesPage, true, at["told"])
	a.awaits(instancesPage, false, at["untold"])
}

// It takes a consumer for an instance, and panics over one that has no port, which no
// consumer of dubbo-go has: GetApplicationSearchInfo of pkg/admin/service/application.go.
func TestDubboAdminListsNothingWhereThereIsAConsumer(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	startGo(t, "provider", registered(etcd, "interface"), "serve=dubbo://"+address(t)+"/"+plainInterface)
	a := startDubboAdmin(t, etcd)
	a.awaits(applicationsPage, true, `"appName":"provider"`)
	startGo(t, "consumer", registered(etcd, "interface"), "refer=dubbo://any/"+plainInterface)
	testkit.Await(t, testkit.LongPatience, func() bool {
		status, _ := a.ask(http.MethodGet, applicationsPage, "")
		return status == http.StatusInternalServerError
	}, "it does not panic any more")
	a.awaits("overview", true, `"insCount":2`)
}

func TestRulesOfDubboAdminAreObeyed(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"interface", "service"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			at := map[string]string{"x": address(t), "y": address(t)}
			reg, center := registered(etcd, level), "config="+etcd.Endpoint()
			for name, at := range at {
				startGo(t, name, reg, center, "application=shop", "weight=100", "serve=tri://"+at+"/"+plainInterface)
			}
			c := startGo(t, "consumer", reg, center, "refer=tri://any/"+plainInterface)
			a := startDubboAdmin(t, etcd)
			called := func(by ...string) {
				t.Helper()
				requireCalls(t, c, 0, by...)
			}
			called("x@/", "y@/")

			to := func(name string) string {
				return fmt.Sprintf(`{"configVersion":"v3.0","scope":"service","force":true,"runtime":true,"enabled":true,"key":%q,"conditions":["=> port = %s"]}`, plainInterface, portOf(at[name]))
			}
			a.do(http.MethodPost, rulePage, to("x"))
			called("x@/")
			a.do(http.MethodPut, rulePage, to("y"))
			called("y@/")
			a.awaits(rulePage, true, portOf(at["y"]))
			a.awaits("condition-rule/search", true, plainInterface)
			a.do(http.MethodDelete, rulePage, "")
			called("x@/", "y@/")

			a.do(http.MethodPost, tagPage, fmt.Sprintf(`{"configVersion":"v3.0","force":true,"enabled":true,"runtime":true,"key":"shop","tags":[{"name":"gray","addresses":[%q]}]}`, at["x"]))
			called("y@/")
			a.awaits("tag-rule/search", true, "shop.tag-router")
			a.do(http.MethodDelete, tagPage, "")
			called("x@/", "y@/")

			disable := "instance/config/trafficDisable?appName=shop&instanceIP=127.0.0.1&trafficDisable="
			a.do(http.MethodPut, disable+"true", "{}")
			requireFailure(t, c, "older 0")
			a.do(http.MethodPut, disable+"false", "{}")
			called("x@/", "y@/")
		})
	}
}

func TestOverridesOfDubboAdminAreObeyed(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	at, center := address(t), "config="+etcd.Endpoint()
	startGo(t, "provider", registered(etcd, "interface"), center, "application=shop", "serve=dubbo://"+at+"/"+plainInterface)
	c := startGo(t, "consumer", registered(etcd, "interface"), center, "refer=dubbo://any/"+plainInterface)
	a := startDubboAdmin(t, etcd)
	requireCalls(t, c, 0, "provider@/")
	a.do(http.MethodPost, overridePage, `{"configVersion":"v3.0","scope":"application","enabled":true,"key":"shop","configs":[{"side":"provider","addresses":["0.0.0.0:0"],"parameters":{"timeout":"2500"}}]}`)
	serviceRegisteredWith(t, etcd, plainInterface, at, "timeout", "2500")
	requireCalls(t, c, 0, "provider@/")
	a.awaits("configurator/search", true, "shop.configurators")
	a.do(http.MethodDelete, overridePage, "")
	serviceRegisteredWith(t, etcd, plainInterface, at, "timeout", "")
	requireCalls(t, c, 0, "provider@/")
	// That one has no addresses.
	a.do(http.MethodPut, "service/config/timeout", fmt.Sprintf(`{"serviceName":%q,"group":"","version":"","timeout":2600}`, plainInterface))
	serviceRegisteredWith(t, etcd, plainInterface, at, "timeout", "2600")
	requireCalls(t, c, 0, "provider@/")
}
