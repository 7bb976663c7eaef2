// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// result is what the tests of a package said.
type result struct {
	name    string // the last part of the package's path
	passed  int
	skipped []string
	failed  []string
	broken  string // it did not build, or ended before its tests had; a line of why
}

// test runs packages, without the race detector, and returns a result for each.
func test(ctx context.Context, env []string, pattern string, packages []string) ([]result, error) {
	args := append([]string{"test", "-json", "-count=1", "-parallel=4", "-timeout=40m", "-run=" + pattern}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results, err := read(out)
	// That tests failed is in the results; nothing else has to be said of it.
	if waited := cmd.Wait(); err == nil && waited != nil && !slices.ContainsFunc(results, result.bad) {
		err = waited
	}
	if err == nil && len(results) != len(packages) {
		err = fmt.Errorf("%d packages have said something, of %d", len(results), len(packages))
	}
	return results, err
}

func (r result) bad() bool { return len(r.failed) > 0 || r.broken != "" }

// event is a line of go test -json.
type event struct{ Action, Package, ImportPath, Test, Output string }

// read makes results of what go test -json says. Tests within tests are not counted.
func read(from io.Reader) ([]result, error) {
	byPackage := map[string]*result{}
	var order []*result
	var complaint string // of the compiler
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("go test -json: %w: %s", err, lines.Text())
		}
		if e.Action == "build-output" && complaint == "" && !strings.HasPrefix(e.Output, "#") {
			complaint = strings.TrimSpace(e.Output)
		}
		if e.Package == "" {
			continue
		}
		r := byPackage[e.Package]
		if r == nil {
			r = &result{name: path.Base(e.Package)}
			byPackage[e.Package] = r
			order = append(order, r)
		}
		switch {
		case strings.Contains(e.Test, "/"):
		case e.Test == "" && e.Action == "fail" && len(r.failed) == 0:
			r.broken = complaint
			if r.broken == "" {
				r.broken = "ended before its tests had"
			}
		case e.Test == "":
		case e.Action == "pass":
			r.passed++
		case e.Action == "skip":
			r.skipped = append(r.skipped, e.Test)
		case e.Action == "fail":
			r.failed = append(r.failed, e.Test)
			fmt.Printf("    %s: %s failed\n", r.name, e.Test)
		}
	}
	results := make([]result, len(order))
	for i, r := range order {
		results[i] = *r
	}
	return results, lines.Err()
}
