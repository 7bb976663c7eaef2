// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// excerpt is what the rows of the README's table of figures are in docs/benchmarks.md:
// the row of a name, and those that many below it.
var excerpt = map[string]struct {
	name string
	rows []int
}{
	"Register, one after the other, p50":                         {"Register, one after another, p50", []int{0}},
	"2,000 Register, 16 at once":                                 {"2,000 Register, 16 at a time, in all", []int{0}},
	"A new consumer knows 5,000 providers after":                 {"a new consumer knows 5,000 providers", []int{0}},
	"A consumer of 1,000 services knows 100,000 providers after": {"100,000 instances: start", []int{0}},
	"From Register to the listener, p50 / p99":                   {"Register to the listener, p50", []int{0, 1}},
	"From UnRegister to the listener, p50":                       {"UnRegister to the listener, p50", []int{0}},
	"A key that somebody deleted is back after, p99":             {"a key deleted by hand: until it is back, p50", []int{1}},
}

// piece is a number, or its unit, in a cell.
var piece = regexp.MustCompile(`[\d.,]*\d|\b(ms|s|µs)\b`)

func TestFiguresOfTheREADMEAreThoseOfTheBenchmarks(t *testing.T) {
	page := rows(t, "docs/benchmarks.md")
	seen := 0
	for _, row := range rows(t, "README.md") {
		of, ok := excerpt[row[0]]
		if !ok {
			continue
		}
		seen++
		at := slices.IndexFunc(page, func(r []string) bool { return r[0] == of.name })
		require.GreaterOrEqual(t, at, 0, "docs/benchmarks.md has no row %q", of.name)
		for column, there := range map[int]int{1: 2, 2: 4, 3: 5} { // of the README, of the page
			var cells []string
			for _, below := range of.rows {
				cells = append(cells, page[at+below][there])
			}
			if row[column] == "never" {
				assert.Contains(t, cells[0], "never", row[0])
				continue
			}
			assert.Equal(t, pieces(strings.Join(cells, " ")), pieces(row[column]), "%s: the README says %q, docs/benchmarks.md %q", row[0], row[column], cells)
		}
	}
	assert.Equal(t, len(excerpt), seen)
}

// pieces are those of a cell, each once.
func pieces(cell string) []string {
	all := piece.FindAllString(cell, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// rows are those of all tables of a page, in cells.
func rows(t *testing.T, page string) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	return all
}
