// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const said = `{"Action":"start","Package":"x/registry"}
{"Action":"pass","Package":"x/registry","Test":"TestA"}
{"Action":"pass","Package":"x/registry","Test":"TestA/one"}
{"Action":"fail","Package":"x/registry","Test":"TestB"}
{"Action":"skip","Package":"x/registry","Test":"TestC"}
{"Action":"fail","Package":"x/registry"}
{"ImportPath":"x/e2e","Action":"build-output","Output":"# x/e2e\n"}
{"ImportPath":"x/e2e","Action":"build-output","Output":"e2e/a.go:1:2: undefined: b\n"}
{"ImportPath":"x/e2e","Action":"build-fail"}
{"Action":"start","Package":"x/e2e"}
{"Action":"fail","Package":"x/e2e","FailedBuild":"x/e2e"}
`

func TestResultsAreWhatTheTestsSaid(t *testing.T) {
	t.Parallel()
	results, err := read(strings.NewReader(said))
	require.NoError(t, err)
	assert.Equal(t, []result{
		{name: "registry", passed: 1, failed: []string{"TestB"}, skipped: []string{"TestC"}},
		{name: "e2e", broken: "e2e/a.go:1:2: undefined: b"},
	}, results)
	assert.Equal(t, "1 pass, 1 fail: TestB, 1 skipped", results[0].String())
	_, err = read(strings.NewReader("no JSON\n"))
	assert.Error(t, err)
}

func TestThePageHasTheNewTablesInThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "versions.md")
	require.NoError(t, os.WriteFile(page, []byte("# Versions\n\n"+begin+"\nold\n"+end+"\n\nafter\n"), 0o600))
	all := tables{
		when: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), pinned: "go1.0",
		etcd:      []row{{version: "3.5.1", results: []result{{name: "registry", passed: 3}}}, {version: "3.4", err: errors.New("not\nthere")}},
		framework: []row{{version: "v3.3.1", results: []result{{name: "e2e", passed: 9}}}},
	}
	require.NoError(t, all.write(page))
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, want := range []string{
		"# Versions\n", "Run on 2026-01-02", "| etcd server | registry |", "| 3.5.1 | 3 pass |", "| 3.4 | not run |",
		"etcd server 3.4: not there\n", "| dubbo-go | e2e |\n|---|---|\n| v3.3.1 | 9 pass |", "\nafter\n",
	} {
		assert.Contains(t, string(content), want)
	}
	assert.NotContains(t, string(content), "old")
	assert.True(t, all.failed(), "an etcd that cannot be had")
	all.etcd = all.etcd[:1]
	assert.False(t, all.failed())
	require.NoError(t, os.WriteFile(page, []byte("# Versions\n"), 0o600))
	assert.Error(t, all.write(page), "a page without a place for them")
}

func TestTheNewestReleaseOfAMinorVersionIsTaken(t *testing.T) {
	t.Parallel()
	versions := []string{serverModule, "v3.5.9", "v3.5.10", "v3.5.11-rc.0", "v3.6.1"}
	version, err := newestOf(versions, "3.5")
	require.NoError(t, err)
	assert.Equal(t, "v3.5.10", version)
	_, err = newestOf(versions, "3.8")
	assert.Error(t, err)
}

func TestAVersionThatLacksPackagesIsNoFailure(t *testing.T) {
	t.Parallel()
	lacking := lackingIn("go: finding module for package " + frameworkModule + "/metrics/probe\nx.go:1:2: 403 Forbidden\ngo: finding module for package example.com/a\n")
	require.Equal(t, []string{"metrics/probe"}, lacking)
	all := tables{framework: []row{{version: "v3.3.1", err: fmt.Errorf("build: %w", lackingError{lacking})}}}
	assert.False(t, all.failed())
	assert.Contains(t, all.String(), "\ndubbo-go v3.3.1: build: it does not have metrics/probe, which this module uses\n")
	assert.NotContains(t, all.String(), "|")
	assert.True(t, tables{etcd: []row{{version: "3.4", err: errors.New("not there")}}}.failed())
}
