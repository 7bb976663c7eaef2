// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// What GitHub runs for this repository are targets and scripts that it has.
func TestWorkflowsRunWhatThereIs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var workflow struct {
			Name string
			On   yaml.Node
			Jobs map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
				Steps   []struct{ Uses, Run string }
			}
		}
		require.NoError(t, yaml.Unmarshal(content, &workflow), file)
		require.NotEmpty(t, workflow.Jobs, file)
		for name, job := range workflow.Jobs {
			assert.NotZero(t, job.Timeout, "%s: %s: a job that hangs ends", file, name)
			for _, step := range job.Steps {
				assert.NotEqual(t, step.Uses == "", step.Run == "", "%s: %s: a step uses or runs something", file, name)
				for line := range strings.Lines(step.Run) {
					requireThere(t, strings.Fields(line))
				}
			}
		}
	}
}

func requireThere(t *testing.T, words []string) {
	t.Helper()
	switch {
	case len(words) == 0:
	case words[0] == "make" && !strings.HasPrefix(words[1], "$"):
		requireTargets(t, strings.Join(words, " "), words[1:])
	case strings.HasPrefix(words[0], ".ci/"):
		info, err := os.Stat(filepath.Join(root, words[0]))
		if assert.NoError(t, err) {
			assert.NotZero(t, info.Mode()&0o100, "%s can be run", words[0])
		}
	}
}

// The forms for issues, and what Dependabot reads, are YAML.
func TestGitHubsFilesAreYAML(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"*.yml", "ISSUE_TEMPLATE/*.yml"} {
		files, err := filepath.Glob(filepath.Join(root, ".github", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			var value map[string]any
			assert.NoError(t, yaml.Unmarshal(content, &value), file)
			assert.NotEmpty(t, value, file)
		}
	}
}
