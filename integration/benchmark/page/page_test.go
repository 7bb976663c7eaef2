// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// said writes what benchmarks of a contender said, as measure does, and reads it.
func said(t *testing.T, records ...string) *results {
	t.Helper()
	file := filepath.Join(t.TempDir(), "results.txt")
	text := "date: yesterday\n"
	for _, r := range records {
		text += r
	}
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	all, err := read(file)
	require.NoError(t, err)
	return all
}

var addedRow = row{"Register to the listener", "InterfaceLevel/Added", "p50-sec", duration}

func record(contender, output, errs string, failed error) string {
	return job{name: addedRow.bench}.record(contender, output, errs, failed)
}

func TestACellIsTheMedianOfTheRounds(t *testing.T) {
	t.Parallel()
	round := func(ns string) string {
		return record("ours", "BenchmarkInterfaceLevel/Added\nBenchmarkInterfaceLevel/Added-2 \t 1\t 3.000 arrived\t "+ns+" p50-ns\t 3.000 wanted\nPASS\n", "", nil)
	}
	all := said(t, round("400000"), round("90000000"), round("500000"))
	assert.Equal(t, "0.50 ms", addedRow.cell(all, "ours"))
	assert.Empty(t, addedRow.cell(all, "builtin"), "of what was not run")
	assert.Equal(t, []fact{{"Date", "yesterday"}}, all.facts)
}

func TestWhatIsRunAgainReplacesWhatThereWas(t *testing.T) {
	t.Parallel()
	all := said(t,
		record("ours", "BenchmarkInterfaceLevel/Added-2 1 400000 p50-ns\n", "", nil),
		"date: today\n",
		record("ours", "BenchmarkInterfaceLevel/Added-2 1 600000 p50-ns\n", "", nil),
	)
	assert.Equal(t, "0.60 ms", addedRow.cell(all, "ours"))
}

func TestACellSaysWhatDidNotArrive(t *testing.T) {
	t.Parallel()
	all := said(t,
		record("builtin", "BenchmarkInterfaceLevel/Added-2 1 289.0 arrived 2000000 p50-ns 2.000 s-of-patience 300.0 wanted\n", "", nil),
		record("zookeeper", "BenchmarkInterfaceLevel/Added-2 1 0 arrived 2.000 s-of-patience 300.0 wanted\n", "", nil),
		record("ours", "BenchmarkInterfaceLevel/Added-2 1 0 arrived 3.000 errors 2.000 s-of-patience 300.0 wanted\n", "", nil),
	)
	assert.Equal(t, "2.00 ms, 289 of 300", addedRow.cell(all, "builtin"))
	assert.Equal(t, "never in 2 s", addedRow.cell(all, "zookeeper"))
	assert.Equal(t, "refused; never in 2 s", addedRow.cell(all, "ours"))
}

func TestACellSaysWhyThereIsNoFigure(t *testing.T) {
	t.Parallel()
	exit := errors.New("exit status 2")
	all := said(t,
		record("builtin", "pkg: x\nBenchmarkInterfaceLevel/Added\n", "2026/11/27 a line\npanic: no etcd [recovered]\n\ngoroutine 1\n", exit),
		record("zookeeper", "BenchmarkInterfaceLevel/Added\n    server.go:1: SKIPPED: not installed\n--- SKIP: BenchmarkInterfaceLevel/Added\n", "", nil),
		record("ours", "--- FAIL: BenchmarkInterfaceLevel/Added\n    telling.go:1: connection refused\n", "", exit),
		record("floor", "BenchmarkInterfaceLevel/Added-2 1 5000 p50-ns\n", "", nil),
	)
	assert.Equal(t, "panic: no etcd [recovered]", addedRow.cell(all, "builtin"))
	assert.Equal(t, "SKIPPED: not installed", addedRow.cell(all, "zookeeper"))
	assert.Equal(t, "connection refused", addedRow.cell(all, "ours"))
	assert.Equal(t, "5.0 µs", addedRow.cell(all, "floor"), "the reason of another one does not stay")
	assert.Empty(t, record("floor", "PASS\n", "", nil), "there is no such benchmark")
}

func TestThePageAndItsPlotsAreWrittenOfWhatThereIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := said(t, record("ours", "BenchmarkInterfaceLevel/Added-2 1 3.000 arrived 400000 p50-ns 900000 p99-ns 3.000 wanted\n", "", nil))
	require.NoError(t, plots(dir, all))
	require.NoError(t, write(filepath.Join(dir, "benchmarks.md"), all))
	page, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "| Register to the listener, p50 |  | 0.40 ms |")
	for _, f := range figures {
		svg, err := os.ReadFile(filepath.Join(dir, f.file+".svg"))
		require.NoError(t, err)
		assert.Contains(t, string(svg), "</svg>")
	}
}
