// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// deployed is where the rules and dashboards are.
const deployed = "../../deploy"

// tool returns the path of a program of Debian's package prometheus, or skips the
// test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("PROMETHEUS") == "required":
		require.NoError(t, err, "PROMETHEUS=required")
	default:
		t.Skipf("SKIPPED: %s is not installed (apt-get install prometheus)", name)
	}
	return ""
}

// prometheus is one that scrapes processes, with the rules of this project.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, targets ...string) prometheus {
	t.Helper()
	exe, at, dir := tool(t, "prometheus"), address(t), t.TempDir()
	rules, err := filepath.Abs(filepath.Join(deployed, "prometheus/alerts.yml"))
	require.NoError(t, err)
	config := fmt.Sprintf(`{"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [%q],
		"scrape_configs": [{"job_name": "dubbo", "static_configs": [{"targets": ["%s"]}]}]}`, rules, strings.Join(targets, `", "`))
	path := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	require.NoError(t, err)
	cmd := exec.Command(exe, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if content, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the log of Prometheus:\n%s", content)
		}
	})
	return prometheus{t, "http://" + at}
}

// ask asks its API, and reads the data of the answer.
func (p prometheus) ask(path string, query url.Values, data any) error {
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", body, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// series is a result of a query.
type series struct {
	Metric map[string]string
	Value  [2]any // the time, and the value as a string
}

func (s series) value() string { return fmt.Sprint(s.Value[1]) }

func (p prometheus) query(expression string) (all []series, err error) {
	var data struct{ Result []series }
	err = p.ask("query", url.Values{"query": {expression}}, &data)
	return data.Result, err
}

// await waits until an expression has n series, each of the value, if that is not
// empty.
func (p prometheus) await(expression string, n int, value string) []series {
	p.t.Helper()
	var found []series
	var err error
	_, ok := testkit.Poll(testkit.LongPatience, 100*time.Millisecond, func() bool {
		found, err = p.query(expression)
		return err == nil && len(found) == n && !slices.ContainsFunc(found, func(s series) bool { return value != "" && s.value() != value })
	})
	require.True(p.t, ok, "%s is %v (%v), want %d of %s", expression, found, err, n, value)
	return found
}

// namedIn returns the metrics of this registry that a page has in a table.
func namedIn(t *testing.T, path string) (names []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, row := range regexp.MustCompile("(?m)^\\| `(dubbo_registry_etcd_[a-z_]+)` \\| ([a-z]+)").FindAllStringSubmatch(string(page), -1) {
		if row[2] == "histogram" {
			row[1] += "_bucket"
		}
		names = append(names, row[1])
	}
	require.NotEmpty(t, names)
	return names
}

// shown returns what the panels of the dashboards ask for.
func shown(t *testing.T) (expressions []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(deployed, "grafana/*.json"))
	require.NoError(t, err)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		require.NoError(t, json.Unmarshal(content, &dashboard))
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expressions = append(expressions, strings.NewReplacer("$application", ".*", "$cluster", ".*", "$instance", ".*").Replace(target.Expr))
			}
		}
	}
	require.NotEmpty(t, expressions)
	return expressions
}

func TestPrometheusSeesAProviderAndAConsumerThroughAnOutage(t *testing.T) {
	t.Parallel()
	tool(t, "prometheus")
	etcd := etcdtest.Start(t)
	a := startObserved(t, spec{Name: "a", Services: []service{greet}}, observedProvider, "all", etcd, "")
	a.awaitReady(http.StatusOK, "ok")
	c := startObserved(t, spec{Name: "c", References: []service{greet}}, observedConsumer, "interface", etcd, "")
	c.awaitReady(http.StatusOK, "ok")
	awaitCalls(t, c.process, greet, a.process)
	b := start(t, provider(t, etcd, "b", long)) // the first change
	awaitCalls(t, c.process, greet, a.process, b)
	testkit.Put(t, etcd.Client(), providersOf(greet)+"%zz", "")

	p := startPrometheus(t, a.metrics, c.metrics)
	p.await(`up`, 2, "1")
	p.await(`dubbo_registry_etcd_connected`, 2, "1")
	ready := p.await(`dubbo_registry_etcd_ready`, 2, "1")
	assert.ElementsMatch(t, []string{"a", "c"}, []string{ready[0].Metric["application_name"], ready[1].Metric["application_name"]})
	assert.Equal(t, etcd.Endpoint(), ready[0].Metric["cluster"])
	p.await(`dubbo_registry_etcd_keys_in_etcd{application_name="a"} == dubbo_registry_etcd_keys_wanted and dubbo_registry_etcd_keys_wanted > 2`, 1, "")
	p.await(`dubbo_registry_etcd_watch_lag_seconds_count{application_name="c"} > 0`, 1, "")

	// What is promised is there, and all that is shown can be.
	for _, name := range namedIn(t, "../../docs/metrics.md") {
		found := p.await(fmt.Sprintf(`count(%s)`, name), 1, "")
		assert.NotEqual(t, "0", found[0].value(), name)
	}
	for _, expression := range shown(t) {
		_, err := p.query(expression)
		assert.NoError(t, err, expression)
	}
	for _, name := range []string{
		"dubbo_registry_register_requests_succeed_total", "dubbo_registry_register_service_total", "dubbo_registry_subscribe_num_succeed_total",
		"dubbo_registry_notify_requests_total", "dubbo_notify_rt_milliseconds_avg",
	} {
		p.await(fmt.Sprintf(`count(%s > 0)`, name), 1, "")
	}
	requireFewLabels(t, p)
	requireRules(t, p)

	etcd.Kill()
	p.await(`dubbo_registry_etcd_connected`, 2, "0")
	p.await(`dubbo_registry_etcd_ready{application_name="a"}`, 1, "0")
	p.await(`dubbo_registry_etcd_lease_remaining_seconds{application_name="a"}`, 1, "0")
	p.await(`dubbo_registry_etcd_mirrors_stale{application_name="c"} > 0`, 1, "")
	p.await(`ALERTS{alertname="DubboRegistryEtcdDown"}`, 1, "1")
	p.await(`ALERTS{alertname="DubboRegistryDisconnected"}`, 2, "1")
	p.await(`ALERTS{alertname="DubboRegistryNotReady",application_name="a"}`, 1, "1")

	etcd.Start()
	p.await(`dubbo_registry_etcd_connected`, 2, "1")
	p.await(`dubbo_registry_etcd_ready`, 2, "1")
	p.await(`dubbo_registry_etcd_resyncs_total{application_name="a",reason="lease_lost"}`, 1, "0") // etcd was away as well
	p.await(`sum(dubbo_registry_etcd_requests_total{application_name="a",code="Unavailable"}) > 0`, 1, "")
	p.await(`ALERTS{alertname=~"DubboRegistryEtcdDown|DubboRegistryDisconnected|DubboRegistryNotReady"}`, 0, "")
}

// requireFewLabels checks that there is no series for a key or a service.
func requireFewLabels(t *testing.T, p prometheus) {
	t.Helper()
	all, err := p.query(`{__name__=~"dubbo_registry_etcd_.*"}`)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	allowed := []string{
		"__name__", "job", "instance", "application_name", "application_version", "git_commit_id", "hostname", "ip",
		"cluster", "user", "method", "code", "reason", "le",
	}
	for _, s := range all {
		for name, value := range s.Metric {
			assert.Contains(t, allowed, name)
			assert.NotContains(t, value, greet.Interface)
		}
	}
	assert.Less(t, len(all), 2*100, "of two processes")
}

// requireRules checks that all rules are evaluated, and none alerts.
func requireRules(t *testing.T, p prometheus) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				State                   string
				Labels                  map[string]string
			}
		}
	}
	require.NoError(t, p.ask("rules", nil, &data))
	n := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			n++
			assert.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
			if r.Labels["severity"] != "info" {
				assert.Equal(t, "inactive", r.State, r.Name)
			}
		}
	}
	assert.Greater(t, n, 10)
}

func TestTheRulesAlertWhenTheyShould(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Join(deployed, "prometheus")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v:\n%s", args, output)
	}
}
