// SPDX-License-Identifier: Apache-2.0

// Package imports_test tests that the blank import of this registry replaces
// dubbo-go's own extensions of the same name, in programs that import both in one
// order or another.
package imports_test

import (
	"encoding/json"
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

// What a program links because of this registry, beyond what it would link with all
// of dubbo-go, is what its users have to trust, and to have the licences of.
func TestCONTRIBUTINGListsWhatReachesAUsersBuild(t *testing.T) {
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(page), "## What reaches a user's build")
	require.True(t, ok, "CONTRIBUTING.md has a section of that name")
	table, _, _ = strings.Cut(table, "\n## ")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
	}
	const framework, own = "dubbo.apache.org/dubbo-go/v3", "github.com/dubbo-go-contrib/registry-etcdv3"
	known := required(t, framework)
	more := slices.DeleteFunc(linked(t, "./after"), func(module string) bool {
		return module == framework || module == own || strings.HasPrefix(module, own+"/") || slices.Contains(known, module)
	})
	assert.Equal(t, more, listed, "CONTRIBUTING.md, What reaches a user's build, has the modules that dubbo-go's own go.mod does not require, sorted: "+
		"add what is new with its licence, or do without it; take out what is gone")
}

// linked returns the modules of which a program has packages, sorted. The build list
// is that of the tests: versions may be newer than a user's, names are the same.
func linked(t *testing.T, program string) []string {
	t.Helper()
	output := golang(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", program)
	return slices.Compact(slices.Sorted(strings.FieldsSeq(output)))
}

// required returns what the go.mod of a module requires: all that its packages are
// built of.
func required(t *testing.T, module string) []string {
	t.Helper()
	file := strings.TrimSpace(golang(t, "list", "-m", "-f", "{{.GoMod}}", module))
	var content struct{ Require []struct{ Path string } }
	require.NoError(t, json.Unmarshal([]byte(golang(t, "mod", "edit", "-json", file)), &content))
	var modules []string
	for _, r := range content.Require {
		modules = append(modules, r.Path)
	}
	require.NotEmpty(t, modules)
	return modules
}

// golang returns what the go command prints, without a network.
func golang(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off")
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	require.NoError(t, err, "go %s:\n%s", strings.Join(args, " "), &stderr)
	return string(output)
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
