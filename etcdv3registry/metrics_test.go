// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

const metricsPage = "../docs/metrics.md"

func TestThePageHasEachMetricWithItsKindAndLabels(t *testing.T) {
	page, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(dubbo_registry_etcd_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*?) ?\\|").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = row[2] + " " + row[3]
	}
	exported := map[string]string{}
	for _, m := range measure.All() {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		exported[m.Name] = m.Kind + " " + labels
	}
	assert.Equal(t, exported, listed)
}

func TestThePageHasEachFieldOfTheStatus(t *testing.T) {
	page, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(page), "\n## Status\n")
	require.True(t, ok)
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			listed = append(listed, name[1])
		}
	}
	listed = slices.DeleteFunc(listed, func(name string) bool { return name == "clusters" })
	assert.ElementsMatch(t, fields(t, reflect.TypeFor[Snapshot]()), listed)
}

// expression is one of PromQL, and where it stands.
type expression struct{ where, text string }

func alerts(t *testing.T) (all []expression) {
	t.Helper()
	content, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all = append(all, expression{r.Alert, r.Expr})
		}
	}
	return all
}

// dashboard returns what the panels of the dashboards show.
func dashboard(t *testing.T) (all []expression) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ Expr string }
			}
			Templating struct {
				List []struct{ Name, Definition string }
			}
		}
		require.NoError(t, json.Unmarshal(content, &file), path)
		ids := map[int]bool{}
		for _, p := range file.Panels {
			assert.False(t, ids[p.ID], "%s: panel %d is there twice", path, p.ID)
			ids[p.ID] = true
			for _, target := range p.Targets {
				all = append(all, expression{p.Title, target.Expr})
			}
		}
		for _, v := range file.Templating.List {
			all = append(all, expression{v.Name, v.Definition})
		}
	}
	return all
}

// ofTheFramework are the metrics of dubbo-go that are used in deploy/.
func ofTheFramework() []string {
	return []string{
		metricsRegistry.RegisterMetricRequestsSucceed.Name, metricsRegistry.RegisterMetricRequestsFailed.Name,
		metricsRegistry.SubscribeMetricNumSucceed.Name, metricsRegistry.SubscribeMetricNumFailed.Name,
		metricsRegistry.ServiceRegisterMetricRequests.Name, metricsRegistry.ServiceSubscribeMetricNum.Name,
		metricsRegistry.NotifyMetricRequests.Name, metricsRegistry.NotifyRt.Name + "_avg",
		// What dubbo-go does not export: metrics/metadata/metric_set.go.
		"dubbo_metadata_push_num_total", "dubbo_metadata_subscribe_num_total",
	}
}

// Who renames a metric finds out here, and not from a dashboard that stays empty.
func TestWhatIsDeployedAsksForMetricsThatAreExported(t *testing.T) {
	series := map[string][]string{} // labels, by name
	for _, m := range measure.All() {
		names := []string{m.Name}
		if m.Kind == "histogram" {
			names = []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
		}
		for _, name := range names {
			series[name] = append([]string{"le"}, m.Labels...)
		}
	}
	for _, name := range ofTheFramework() {
		series[name] = nil
	}
	anywhere := []string{"application_name", "instance"}
	asked := map[string]bool{}
	expressions := append(alerts(t), dashboard(t)...)
	require.Greater(t, len(expressions), 40)
	for _, e := range expressions {
		names := regexp.MustCompile(`\bdubbo_[a-z_]+\b(\{[^}]*\})?`).FindAllString(e.text, -1)
		if e.where != "datasource" {
			assert.NotEmpty(t, names, "%s: %s", e.where, e.text)
		}
		for _, selector := range names {
			name, labels, _ := strings.Cut(selector, "{")
			asked[name] = true
			known, ok := series[name]
			assert.True(t, ok, "%s asks for %s, which is not exported", e.where, name)
			for _, label := range regexp.MustCompile(`([a-z_]+)(?:=|!)`).FindAllStringSubmatch(labels, -1) {
				assert.Contains(t, slices.Concat(known, anywhere), label[1], "%s: a label of %s", e.where, name)
			}
		}
	}
	for _, m := range measure.All() {
		used := asked[m.Name] || asked[m.Name+"_bucket"]
		assert.True(t, used, "%s is neither on the dashboard nor in a rule", m.Name)
	}
}

func resyncReasons() []string { return slices.Concat(desired.Reasons, listener.Reasons) }

func TestReasonsAreThoseThatTheRulesAskFor(t *testing.T) {
	for _, e := range append(alerts(t), dashboard(t)...) {
		for _, reason := range regexp.MustCompile(`reason="([^"]+)"`).FindAllStringSubmatch(e.text, -1) {
			assert.Contains(t, resyncReasons(), reason[1], e.where)
		}
	}
	page, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	for _, reason := range resyncReasons() {
		assert.Contains(t, string(page), fmt.Sprintf("`%s`: ", reason))
	}
}
