// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is said to be shown by a test is.
func TestPagesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		tests.Write(content)
		return err
	}))
	for _, path := range []string{"../SECURITY.md", "../docs/compatibility.md"} {
		page, err := os.ReadFile(path)
		require.NoError(t, err)
		named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
		require.NotEmpty(t, named, path)
		for _, name := range named {
			assert.Contains(t, tests.String(), "func "+name[1]+"(", "%s: %s", path, name[1])
		}
	}
}

// Who requires something says what for, and whether users get it.
func TestCONTRIBUTINGListsWhatIsRequired(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(page), "## What is required")
	require.True(t, ok, "CONTRIBUTING.md has a section of that name")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(table, -1) {
		assert.NotContains(t, listed, row[1], "CONTRIBUTING.md, What is required: it is there once")
		listed[row[1]] = row[2]
	}

	goMod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	linked := linkedModules(t)
	required := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^(?:require |\t)(\S+) v\S+$`).FindAllStringSubmatch(string(goMod), -1) {
		required[line[1]] = "tests"
		if slices.Contains(linked, line[1]) {
			required[line[1]] = "all"
		}
	}
	require.NotEmpty(t, required)
	assert.Equal(t, slices.Sorted(maps.Keys(required)), slices.Sorted(maps.Keys(listed)),
		"CONTRIBUTING.md, What is required, has each module that go.mod requires directly, and no other")
	for module, used := range required {
		assert.Equal(t, used, listed[module], "CONTRIBUTING.md, What is required: where %s is used", module)
	}
}

// linkedModules are those of which a program has packages that imports the public
// packages.
func linkedModules(t *testing.T) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".", "./listener", "./retry")
	list.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off")
	output, err := list.Output()
	require.NoError(t, err, "%s", output)
	return slices.Compact(slices.Sorted(strings.FieldsSeq(string(output))))
}
