// SPDX-License-Identifier: Apache-2.0

// Package imports_test tests that the blank import of this registry replaces
// dubbo-go's own extensions of the same name, in programs that import both in one
// order or another.
package imports_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ours is what a program prints that has this registry's extensions.
var ours = []string{
	"extension config-center etcdv3registry.configCenters",
	"extension metadata-report etcdv3registry.metadataReports",
	"extension registry *registry.Registry",
}

func TestTheBlankImportWinsWhateverTheOrderOfImports(t *testing.T) {
	programs := []string{"before", "after", "files", "filesreversed", "between", "nested"}
	bin := build(t, append(programs, "without")...)
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), filepath.Join(bin, program)).CombinedOutput()
			require.NoError(t, err, "%s", output)
			assert.Equal(t, ours, extensions(output))
		})
	}
	t.Run("without it dubbo-go has its own", func(t *testing.T) {
		// It may fail or panic as well, as there is no etcd.
		output, _ := exec.CommandContext(t.Context(), filepath.Join(bin, "without")).CombinedOutput()
		found := extensions(output)
		assert.NotEmpty(t, found)
		for _, one := range ours {
			assert.NotContains(t, found, one)
		}
	})
}

// Go initialises packages that are ready in the order of their paths: in today's
// programs this registry happens to come last. Only importing the others makes it
// certain.
func TestDubboGosOwnExtensionsAreCertainToBeSetFirst(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{range .Imports}}{{println .}}{{end}}",
		"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry").CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Subset(t, strings.Fields(string(output)), []string{
		"dubbo.apache.org/dubbo-go/v3/metadata/report/etcd",
		"dubbo.apache.org/dubbo-go/v3/registry/etcdv3",
	}, "what this registry imports")
}

// build builds the programs, and returns the directory that they are in.
func build(t *testing.T, programs ...string) string {
	t.Helper()
	bin := t.TempDir()
	args := []string{"build", "-ldflags=-s -w", "-o", bin}
	for _, program := range programs {
		args = append(args, "./"+program)
	}
	output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "go %s:\n%s", strings.Join(args, " "), output)
	return bin
}

// extensions leaves out what dubbo-go logs.
func extensions(output []byte) []string {
	return slices.DeleteFunc(strings.Split(string(output), "\n"), func(line string) bool { return !strings.HasPrefix(line, "extension ") })
}
