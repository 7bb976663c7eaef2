// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// manifest is what is looked at of an object of Kubernetes; deploy/ has the test of the
// rest.
type manifest struct {
	Kind string
	Data map[string]string
	Spec struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Args           []string
					StartupProbe   probe `yaml:"startupProbe"`
					ReadinessProbe probe `yaml:"readinessProbe"`
					LivenessProbe  probe `yaml:"livenessProbe"`
				}
			}
		}
	}
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

func objects(t *testing.T, kind string) (found []manifest) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy", "kubernetes", "*.yaml"))
	require.NoError(t, err)
	for _, path := range files {
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		for decoder := yaml.NewDecoder(file); ; {
			var one manifest
			err := decoder.Decode(&one)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, path)
			if one.Kind == kind {
				found = append(found, one)
			}
		}
	}
	require.NotEmpty(t, found, kind)
	return found
}

func TestManifestsStartEtcdWithFlagsThatItHas(t *testing.T) {
	t.Parallel()
	path, err := etcdtest.Binary()
	require.NoError(t, err)
	help, err := exec.Command(path, "--help").CombinedOutput()
	require.NoError(t, err)
	for _, set := range objects(t, "StatefulSet") {
		args := set.Spec.Template.Spec.Containers[0].Args
		require.NotEmpty(t, args)
		for _, arg := range args {
			flag, _, _ := strings.Cut(arg, "=")
			assert.Regexp(t, `(?m)^\s+`+regexp.QuoteMeta(flag)+`\b`, string(help))
		}
	}
}

func TestManifestsAskEtcdWhatItAnswers(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for _, set := range objects(t, "StatefulSet") {
		c := set.Spec.Template.Spec.Containers[0]
		for _, p := range []probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			requireAnswer(t, etcd, p.HTTPGet.Path)
		}
	}
}

func requireAnswer(t *testing.T, etcd *etcdtest.Server, path string) {
	t.Helper()
	require.NotEmpty(t, path)
	response, err := http.Get(etcd.URL() + path)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode, path)
}

func TestConfigurationsOfTheManifestsHaveOnlyWhatIsRead(t *testing.T) {
	t.Parallel()
	names := parameters(t)
	var all []string
	for _, m := range objects(t, "ConfigMap") {
		all = append(all, m.Data["dubbogo.yaml"])
	}
	for _, name := range []string{"provider", "consumer"} {
		content, err := os.ReadFile(filepath.Join(root, "deploy", "compose", name+".yaml"))
		require.NoError(t, err)
		all = append(all, string(content))
	}
	for _, text := range all {
		var file struct {
			Dubbo dubbo.InstanceOptions `yaml:"dubbo"`
		}
		require.NoError(t, strictly([]byte(text), &file))
		require.NotEmpty(t, file.Dubbo.Registries)
		for _, r := range file.Dubbo.Registries {
			for name := range r.Params {
				assert.True(t, names[name], "there is no parameter %s", name)
			}
		}
	}
}
