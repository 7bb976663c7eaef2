// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ourMark = "[etcdv3] "

// Who has a problem looks for the line that his log has: each line that the FAQ quotes is
// one that the source makes, with something for each verb of its format.
func TestLinesOfTheFAQAreThoseOfTheSource(t *testing.T) {
	t.Parallel()
	ours := formats(t, filepath.Join(root, "etcdv3registry"))
	var frameworks []string
	for _, part := range []string{"client", "cluster/cluster", "common/extension", "dubbo.go", "protocol/triple", "registry"} {
		frameworks = append(frameworks, formats(t, filepath.Join(framework(t), part))...)
	}
	found := 0
	for _, b := range pages(t)["docs/faq.md"].blocks {
		if b.language != "text" {
			continue
		}
		for line := range strings.Lines(b.text) {
			found++
			line = strings.TrimSpace(line)
			source := frameworks
			if strings.HasPrefix(line, ourMark) {
				source = ours
			}
			requireLine(t, b.String(), source, strings.TrimPrefix(line, ourMark))
		}
	}
	assert.NotZero(t, found)
}

// The same of the tables of the page for operators; an alert looks for a part of a line.
func TestLinesOfTheOperationsPageAreThoseOfTheSource(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	ours := formats(t, filepath.Join(root, "etcdv3registry"))
	for heading, columns := range map[string][]int{"| Line | Level |": {1}, "| Line | Alert if |": {1, 3}} {
		_, table, ok := strings.Cut(string(content), heading)
		require.True(t, ok, heading)
		table, _, _ = strings.Cut(table, "\n\n")
		found := 0
		for row := range strings.Lines(table) {
			cells := strings.Split(row, "|")
			for _, column := range columns {
				if column >= len(cells) {
					continue
				}
				for _, line := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column], -1) {
					found++
					requireLine(t, "docs/operations.md", ours, line[1])
				}
			}
		}
		assert.NotZero(t, found, heading)
	}
}

func TestALineThatTheSourceDoesNotMakeIsNoticed(t *testing.T) {
	t.Parallel()
	source := []string{"%s is not registered yet: %v", "took lease %x of %d s"}
	source = append(source, "cache file %s %s: %v", "is not used")
	for line, made := range map[string]bool{
		"cache file a is not used: ...": true, "cache file a cannot be used: ...": false,
		"provider x is not registered yet: ...": true, "provider x is not registered": true,
		"took lease ... of 30 s": true, "took lease 1": true,
		"provider x is not registered now": false, "took a lease of 30 s": false, "something else": false,
	} {
		assert.Equal(t, made, isMade(source, line), line)
	}
}

func requireLine(t *testing.T, where string, source []string, line string) {
	t.Helper()
	assert.True(t, isMade(source, strings.TrimSuffix(line, "...")), "%s: no format of the source makes the line\n\t%s", where, line)
}

// isMade reports whether a format makes a line, or one that begins so: at least half of
// it is text of the source.
func isMade(source []string, line string) bool {
	l := maker{constants: map[string]bool{}}
	for _, text := range source {
		l.constants[text] = true
	}
	for _, format := range source {
		if 2*l.known(line, verb.Split(strings.TrimPrefix(format, ourMark), -1)) >= len(line) {
			return true
		}
	}
	return false
}

var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

type maker struct{ constants map[string]bool }

// known returns how much of a line is text of the source: what stands between the
// verbs of a format, and what stands for one where that is a constant itself. Less than
// nothing: the format does not make the line.
func (m maker) known(line string, texts []string) int {
	const none = -1 << 20
	first := texts[0]
	switch {
	case len(line) <= len(first) && strings.HasPrefix(first, line):
		return len(line)
	case !strings.HasPrefix(line, first):
		return none
	case len(texts) == 1:
		return none // the line goes on, the format does not
	}
	best, rest := none, line[len(first):]
	for n := 1; n <= len(rest); n++ {
		n, filler := m.known(rest[n:], texts[1:]), rest[:n]
		if m.constants[filler] {
			n += len(filler)
		}
		best = max(best, len(first)+n)
	}
	return best
}

// formats returns the strings in the source below a directory, tests left out. What is
// put together has a verb for what is no string.
func formats(t *testing.T, dir string) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			expression, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			if text, ok := joined(expression); ok {
				all = append(all, text)
			}
			return true
		})
		return nil
	}))
	require.NotEmpty(t, all)
	return all
}

func joined(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		left, leftOK := joined(e.X)
		right, rightOK := joined(e.Y)
		switch {
		case e.Op != token.ADD || !leftOK && !rightOK:
		case !leftOK:
			return "%v" + right, true
		case !rightOK:
			return left + "%v", true
		default:
			return left + right, true
		}
	}
	return "", false
}

// framework is where dubbo-go's source is.
func framework(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "dubbo.apache.org/dubbo-go/v3").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
