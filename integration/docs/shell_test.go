// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// recorded are commands that would take minutes, and are looked at instead of run.
var recorded = []string{"go", "make", "kubectl", "curl", "docker"}

// Each page's commands run as they stand there, one after another, in a directory that
// has what the repository has. etcdctl is that of an etcd of the page.
func TestCommandsOfThePagesRun(t *testing.T) {
	t.Parallel()
	for path, p := range pages(t) {
		var commands strings.Builder
		for _, b := range p.blocks {
			if b.language == "sh" {
				commands.WriteString(b.text)
			}
		}
		if commands.Len() == 0 {
			continue
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "recorded")
			var script strings.Builder
			for _, name := range recorded {
				fmt.Fprintf(&script, "%s() { { printf '%s'; printf '\\t%%s' \"$@\"; echo; } >> '%s'; }\n", name, name, log)
			}
			fmt.Fprintf(&script, "cd '%s'\n%s", workplace(t), commands.String())
			etcd := etcdtest.Start(t)
			etcd.Shell(script.String(), "ROOT_PASSWORD="+testkit.Password, "GREETER_PASSWORD="+testkit.Password,
				"SHOP_PASSWORD="+testkit.Password, "CONSOLE_PASSWORD="+testkit.Password)
			content, err := os.ReadFile(log)
			if os.IsNotExist(err) {
				return
			}
			require.NoError(t, err)
			for line := range strings.Lines(string(content)) {
				requirePossible(t, strings.Split(strings.TrimSpace(line), "\t"))
			}
		})
	}
}

// Who is told to look at a metric of etcd's finds it there.
func TestMetricsOfTheOperationsPageAreThoseOfEtcd(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	etcd := etcdtest.Start(t)
	response, err := http.Get(etcd.URL() + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	named := regexp.MustCompile("`((?:etcd|grpc)_[a-z_]+)`").FindAllStringSubmatch(string(content), -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		assert.True(t, strings.Contains(string(metrics), "\n# HELP "+name[1]+" "), "etcd has no metric %s", name[1])
	}
}

// Commands in the text name targets, tests and programs that exist.
func TestCommandsInTheTextArePossible(t *testing.T) {
	t.Parallel()
	found := 0
	for path, p := range pages(t) {
		for _, span := range p.spans {
			words := strings.Fields(strings.ReplaceAll(span, "'", ""))
			if len(words) < 2 || !slices.Contains(recorded, words[0]) || strings.Contains(span, "$(") {
				continue
			}
			found++
			t.Run(path+"/"+span, func(t *testing.T) { requirePossible(t, words) })
		}
	}
	assert.NotZero(t, found)
}

// workplace is a directory that has what the root of the repository has, and what an
// operator has at hand.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	from, err := filepath.Abs(root)
	require.NoError(t, err)
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, entry := range entries {
		require.NoError(t, os.Symlink(filepath.Join(from, entry.Name()), filepath.Join(dir, entry.Name())))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "greeter.yaml"), []byte("dubbo:\n  consumer:\n    request-timeout: 3s\n"), 0o600))
	return dir
}

// requirePossible ends the test if a command of the go command or of make names what
// there is not.
func requirePossible(t *testing.T, words []string) {
	t.Helper()
	switch line := strings.Join(words, " "); {
	case words[0] == "curl":
		_, err := url.Parse(words[len(words)-1])
		require.NoError(t, err, line)
	case line == "docker compose": // it is spoken of
	case words[0] == "docker":
		at := slices.Index(words, "-f")
		require.True(t, words[1] == "compose" && at > 0 && at+1 < len(words), "%s: what is to be looked at?", line)
		require.FileExists(t, filepath.Join(root, words[at+1]), line)
	case words[0] == "kubectl":
		requireKustomization(t, line, words[1:])
	case words[0] == "make":
		requireTargets(t, line, words[1:])
	case words[1] == "run":
		requireDirectory(t, line, words[2])
	case words[1] == "test":
		requireTests(t, line, words[2:])
	case slices.Contains([]string{"mod", "get", "vet", "version", "tool", "doc"}, words[1]):
	default:
		t.Fatalf("%s: what is to be looked at?", line)
	}
}

func requireTargets(t *testing.T, line string, words []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, word := range words {
		if name, _, assigned := strings.Cut(word, "="); assigned {
			assert.Regexp(t, `\b`+name+`\b`, string(content), "%s: the variable %s", line, name)
			continue
		}
		assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(word)+`:`, string(content), "%s: the target %s", line, word)
	}
}

// requireKustomization has kubectl, where it is installed, put the objects of a directory
// together.
func requireKustomization(t *testing.T, line string, words []string) {
	t.Helper()
	at := slices.Index(words, "-k")
	require.True(t, at >= 0 && at+1 < len(words), "%s: what is to be looked at?", line)
	dir := filepath.Join(root, words[at+1])
	require.FileExists(t, filepath.Join(dir, "kustomization.yaml"), line)
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Log("there is no kubectl: the objects are not put together")
		return
	}
	out, err := exec.Command("kubectl", "kustomize", dir).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	require.Contains(t, string(out), "kind: ", line)
}

func requireDirectory(t *testing.T, line, pattern string) (dir string) {
	t.Helper()
	require.True(t, strings.HasPrefix(pattern, "./"), "%s: %s begins with ./", line, pattern)
	dir = filepath.Join(root, pattern)
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, sources, "%s: there is no package in %s", line, pattern)
	return dir
}

// requireTests looks whether the patterns of a go test have something to run.
func requireTests(t *testing.T, line string, words []string) {
	t.Helper()
	if len(words) == 0 {
		return // it is spoken of
	}
	if pattern := words[len(words)-1]; strings.HasSuffix(pattern, "...") || strings.HasPrefix(pattern, "./that/") {
		return
	}
	dir := requireDirectory(t, line, words[len(words)-1])
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	var source strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		source.Write(content)
	}
	for flag, kind := range map[string]string{"-run": "Test", "-bench": "Benchmark", "-fuzz": "Fuzz"} {
		at := slices.Index(words, flag)
		if at < 0 || words[at+1] == "^$" || strings.Contains(words[at+1], "TestName") {
			continue
		}
		wanted := regexp.MustCompile(words[at+1])
		matched := slices.ContainsFunc(regexp.MustCompile(`(?m)^func (`+kind+`\w*)\(`).FindAllStringSubmatch(source.String(), -1),
			func(name []string) bool { return wanted.MatchString(name[1]) })
		assert.True(t, matched, "%s: nothing in the package is called so", line)
	}
}
