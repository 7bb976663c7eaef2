// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Code that the pages show stands, line by line, in a file that is compiled; and a
// configuration of something else than a service in one that is used.
func TestCodeOfThePagesIsThatOfAFile(t *testing.T) {
	t.Parallel()
	sources := map[string][]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		language := languages[filepath.Ext(path)]
		if err != nil || d.IsDir() || language == "" {
			return err
		}
		content, err := os.ReadFile(path)
		sources[language] = append(sources[language], unindented(string(content)))
		return err
	}))
	for _, b := range append(blocks(t, "go"), blocks(t, "yaml")...) {
		if strings.HasPrefix(b.text, "dubbo:") {
			continue // TestConfigurationsHaveOnlyWhatIsRead
		}
		code, shown := unindented(b.text), false
		for _, source := range sources[b.language] {
			shown = shown || strings.Contains(source, code)
		}
		assert.True(t, shown, "%s: no file has these lines", b)
	}
}

var languages = map[string]string{".go": "go", ".yaml": "yaml", ".yml": "yaml"}

// unindented is text without what its lines begin and end with.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return "\n" + strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
