// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// What the page has between these is written by this program.
const (
	begin = "<!-- What follows is written by make matrix. -->"
	end   = "<!-- End of what make matrix writes. -->"
)

// tables is what the page says.
type tables struct {
	when      time.Time
	pinned    string // the versions of what is the same in all rows
	etcd      []row
	framework []row
}

func (t tables) failed() bool {
	return slices.ContainsFunc(slices.Concat(t.etcd, t.framework), func(r row) bool {
		return r.err != nil && !errors.As(r.err, &lackingError{}) || slices.ContainsFunc(r.results, result.bad)
	})
}

// write puts the tables into the page, in the place of those that are there.
func (t tables) write(page string) error {
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s does not have the lines %q and %q", page, begin, end)
	}
	return os.WriteFile(page, []byte(before+begin+"\n\n"+t.String()+"\n"+end+after), 0o644)
}

func (t tables) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run on %s, %s/%s, %s.\n", t.when.Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, t.pinned)
	writeTable(&b, "etcd server", t.etcd)
	writeTable(&b, "dubbo-go", t.framework)
	return b.String()
}

func writeTable(b *strings.Builder, of string, rows []row) {
	if len(rows) == 0 {
		return
	}
	var names []string
	for _, r := range rows {
		for _, result := range r.results {
			if !slices.Contains(names, result.name) {
				names = append(names, result.name)
			}
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		fmt.Fprintf(b, "\n| %s |%s\n|---|%s\n", of, cells(names), strings.Repeat("---|", len(names)))
	}
	for _, r := range rows {
		if len(names) == 0 {
			break
		}
		said := make([]string, len(names))
		for i, name := range names {
			if at := slices.IndexFunc(r.results, func(r result) bool { return r.name == name }); at >= 0 {
				said[i] = r.results[at].String()
			} else {
				said[i] = "not run"
			}
		}
		fmt.Fprintf(b, "| %s |%s\n", r.version, cells(said))
	}
	for _, r := range rows {
		if r.err != nil {
			fmt.Fprintf(b, "\n%s %s: %s\n", of, r.version, strings.Join(strings.Fields(r.err.Error()), " "))
		}
	}
}

func cells(texts []string) string {
	var b strings.Builder
	for _, text := range texts {
		b.WriteString(" " + strings.ReplaceAll(text, "|", `\|`) + " |")
	}
	return b.String()
}

// String is what a cell of a table says.
func (r result) String() string {
	if r.broken != "" {
		return "`" + r.broken + "`"
	}
	text := fmt.Sprintf("%d pass", r.passed)
	if len(r.failed) > 0 {
		text += fmt.Sprintf(", %d fail: %s", len(r.failed), strings.Join(r.failed, ", "))
	}
	if len(r.skipped) > 0 {
		text += fmt.Sprintf(", %d skipped", len(r.skipped))
	}
	return text
}

// pinned says which versions this module requires.
func pinned(ctx context.Context) string {
	out, err := command(ctx, "", nil, "go", "list", "-m", "-f", "{{.Path}} {{.Version}}", frameworkModule, "go.etcd.io/etcd/client/v3")
	if err != nil {
		return runtime.Version()
	}
	return runtime.Version() + "; otherwise with " + strings.Join(strings.Split(strings.TrimSpace(out), "\n"), " and ")
}
