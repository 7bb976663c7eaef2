// SPDX-License-Identifier: Apache-2.0

package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// passwords are those that compose.yaml takes from the environment.
var passwords = []string{"ROOT_PASSWORD", "GREETER_PASSWORD", "SHOP_PASSWORD", "CONSOLE_PASSWORD", "GRAFANA_PASSWORD"}

// load reads a file as docker compose does, which holds it to its schema, with passwords
// but for one.
func load(t *testing.T, file, without string) (*types.Project, error) {
	t.Helper()
	env := []string{}
	for _, name := range passwords {
		if name != without {
			env = append(env, name+"=secret-of-"+name)
		}
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env), cli.WithResolvedPaths(true))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "compose.yaml", "")
	require.NoError(t, err)
	return p
}

func TestComposeHasOnlyFieldsThatThereAre(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, project(t).Services)
	misspelt := filepath.Join(t.TempDir(), "compose.yaml")
	require.NoError(t, os.WriteFile(misspelt, []byte("name: x\nservices: {x: {image: x, depend_on: [y]}}\n"), 0o600))
	_, err := load(t, misspelt, "")
	assert.ErrorContains(t, err, "depend_on", "what this test is for")
}

func TestComposeWantsEachPassword(t *testing.T) {
	t.Parallel()
	for _, name := range passwords {
		_, err := load(t, "compose.yaml", name)
		assert.ErrorContains(t, err, name)
	}
}

func TestWhatComposeNamesIsThere(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, s := range p.Services {
		if s.Build != nil {
			assert.FileExists(t, filepath.Join(s.Build.Context, s.Build.Dockerfile), name)
			if example := s.Build.Args["EXAMPLE"]; example != nil {
				assert.DirExists(t, filepath.Join("..", "examples", *example), name)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				assert.True(t, exists(v.Source), "%s: %s", name, v.Source)
				assert.True(t, v.ReadOnly, "%s: %s", name, v.Source)
			}
		}
		for _, port := range s.Ports {
			assert.Equal(t, "127.0.0.1", port.HostIP, "%s is for this machine only", name)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Nobody is let in before users and roles are there, and those are made by a cluster that
// serves.
func TestComposeStartsInOrder(t *testing.T) {
	t.Parallel()
	p := project(t)
	users := p.Services["users"]
	for _, member := range members(p) {
		assert.NotNil(t, p.Services[member].HealthCheck, member)
		assert.Equal(t, types.ServiceConditionHealthy, users.DependsOn[member].Condition, member)
	}
	assert.Equal(t, "no", users.Restart, "it ends")
	for _, name := range []string{"provider", "consumer"} {
		assert.Equal(t, types.ServiceConditionCompletedSuccessfully, p.Services[name].DependsOn["users"].Condition, name)
	}
}

func members(p *types.Project) (names []string) {
	for name, s := range p.Services {
		if s.Environment["ETCD_NAME"] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestMembersOfComposeHaveTheNamesThatAreCalled(t *testing.T) {
	t.Parallel()
	p := project(t)
	names := members(p)
	require.Len(t, names, 3)
	var peers, clients, volumes []string
	for _, name := range names {
		s := p.Services[name]
		assert.Equal(t, name, *s.Environment["ETCD_NAME"])
		assert.Equal(t, "http://"+name+":2379", *s.Environment["ETCD_ADVERTISE_CLIENT_URLS"])
		assert.Equal(t, "http://"+name+":2380", *s.Environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"])
		peers = append(peers, name+"=http://"+name+":2380")
		clients = append(clients, name+":2379")
		volumes = append(volumes, s.Volumes[0].Source)
	}
	assert.Equal(t, names, volumes, "a disk each")
	for _, name := range names {
		assert.Contains(t, p.Services[name].Command, "--initial-cluster="+strings.Join(peers, ","))
	}
	assert.Equal(t, strings.Join(clients, ","), *p.Services["users"].Environment["ETCDCTL_ENDPOINTS"])
	for _, name := range []string{"provider", "consumer"} {
		assert.Contains(t, text(t, "compose/"+name+".yaml"), "address: "+strings.Join(clients, ",")+"\n", name)
	}
}

// An example reads its configuration and its user's password where compose puts them.
func TestExamplesOfComposeFindTheirFiles(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, user := range map[string]string{"provider": "greeter", "consumer": "shop"} {
		s := p.Services[name]
		assert.Equal(t, *s.Environment["DUBBO_GO_CONFIG_PATH"], s.Volumes[0].Target, name)
		require.Len(t, s.Secrets, 1, name)
		secret := s.Secrets[0].Source
		assert.Equal(t, strings.ToUpper(user)+"_PASSWORD", p.Secrets[secret].Environment, name)
		configuration := text(t, "compose/"+name+".yaml")
		assert.Contains(t, configuration, "password-file: /run/secrets/"+secret+"\n", name)
		assert.Contains(t, configuration, "username: "+user+"\n", name)
	}
}

// What an etcd is tuned with is said twice, and is the same.
func TestEtcdOfComposeIsThatOfKubernetes(t *testing.T) {
	t.Parallel()
	container := read(t).etcd.Spec.Template.Spec.Containers[0]
	tuned := func(args []string) []string {
		return slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
			return !regexp.MustCompile(`^--(auto-compaction|quota|max-|snapshot|heartbeat|election)`).MatchString(arg)
		})
	}
	want := tuned(container.Args)
	require.NotEmpty(t, want)
	p := project(t)
	for _, name := range members(p) {
		assert.Equal(t, want, tuned(p.Services[name].Command), name)
	}
	assert.Contains(t, text(t, "compose/etcd.Dockerfile"), "FROM "+container.Image+" AS ")
}

// Prometheus and Grafana are told of services and files that there are; promtool, where it
// is installed, has checked the rest.
func TestMonitoringOfComposeFindsWhatItShows(t *testing.T) {
	t.Parallel()
	p := project(t)
	services := slices.Collect(maps.Keys(p.Services))
	var prometheus struct {
		Rules   []string `json:"rule_files"`
		Scrapes []struct {
			DNS []struct {
				Names []string `json:"names"`
			} `json:"dns_sd_configs"`
			Static []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(text(t, "prometheus/prometheus.yml")), &prometheus))
	for _, rule := range prometheus.Rules {
		assert.FileExists(t, filepath.Join("prometheus", rule))
	}
	var scraped []string
	for _, s := range prometheus.Scrapes {
		for _, d := range s.DNS {
			scraped = append(scraped, d.Names...)
		}
		for _, d := range s.Static {
			for _, target := range d.Targets {
				host, _, _ := strings.Cut(target, ":")
				scraped = append(scraped, host)
			}
		}
	}
	assert.Subset(t, services, scraped)
	assert.Subset(t, scraped, append(members(p), "provider", "consumer"))

	assert.Contains(t, text(t, "grafana/provisioning/datasources/prometheus.yaml"), "url: http://prometheus:9090\n")
	assert.Contains(t, services, "prometheus")
	var dashboards struct {
		Providers []struct {
			Options struct {
				Path string `json:"path"`
			} `json:"options"`
		} `json:"providers"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(text(t, "grafana/provisioning/dashboards/registry.yaml")), &dashboards))
	require.Len(t, dashboards.Providers, 1)
	assert.True(t, slices.ContainsFunc(p.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return filepath.Dir(v.Target) == dashboards.Providers[0].Options.Path && filepath.Ext(v.Source) == ".json"
	}), "a dashboard is where Grafana looks")
}

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
