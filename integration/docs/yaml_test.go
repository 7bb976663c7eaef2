// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// dubbo-go takes no notice of a field that it does not know, nor does this registry of
// a parameter: who copied a misspelt one would never hear of it.
func TestConfigurationsHaveOnlyWhatIsRead(t *testing.T) {
	t.Parallel()
	names := parameters(t)
	for _, b := range blocks(t, "yaml") {
		if !strings.HasPrefix(b.text, "dubbo:") {
			continue // TestCodeOfThePagesIsThatOfAFile
		}
		var file struct {
			Dubbo yaml.Node `yaml:"dubbo"`
		}
		require.NoError(t, strictly([]byte(b.text), &file), "%s: it is the configuration of a service", b)
		section, err := yaml.Marshal(&file.Dubbo)
		require.NoError(t, err)
		var options dubbo.InstanceOptions
		if !assert.NoError(t, strictly(section, &options), "%s", b) {
			continue
		}
		for name, r := range options.Registries {
			assert.NotEmpty(t, r.Address, "%s: registry %s", b, name)
			requireKnown(t, b, names, r.Protocol, r.Params)
		}
		if c := options.ConfigCenter; c != nil {
			assert.NotEmpty(t, c.Address, "%s: config center", b)
			requireKnown(t, b, names, c.Protocol, c.Params)
		}
		assert.False(t, reflect.DeepEqual(options, dubbo.InstanceOptions{}), "%s configures something", b)
	}
}

func requireKnown(t *testing.T, b block, names map[string]bool, protocol string, params map[string]string) {
	t.Helper()
	for name := range params {
		assert.True(t, protocol != "etcdv3" || names[name], "%s: there is no parameter %s", b, name)
	}
}

// parameters are those that docs/parameters.md lists, which a test of the root module
// holds to what is read.
func parameters(t *testing.T) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs", "parameters.md"))
	require.NoError(t, err)
	names := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(content), -1) {
		names[row[1]] = true
	}
	require.True(t, names["session"])
	return names
}

// strictly decodes YAML; a field that there is not is an error.
func strictly(content []byte, into any) error {
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}
