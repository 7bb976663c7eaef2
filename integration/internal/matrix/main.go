// SPDX-License-Identifier: Apache-2.0

// Command matrix runs the tests of this module against other versions of etcd and of
// dubbo-go than those that it requires, and writes what came of it into
// docs/versions.md. make matrix runs it; it takes an hour or so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// withEtcd are the tests that are run with each etcd, withFramework those that are run
// with each dubbo-go.
const (
	withEtcd      = "./registry ./failback ./servicediscovery ./metadatareport ./configcenter"
	withFramework = "./e2e"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	etcds := flag.String("etcd", "3.4 3.5 3.6 3.7", "minor versions of etcd, of which the newest is taken")
	frameworks := flag.String("dubbo", "", "versions of dubbo-go; empty: all other releases of v3.3; none: none")
	packages := flag.String("packages", withEtcd, "what is tested with each etcd")
	pattern := flag.String("run", "", "only these tests, as of go test")
	page := flag.String("page", "../docs/versions.md", "the page to write")
	flag.Parse()

	dir, err := os.MkdirTemp("", "matrix-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m := matrix{dir: dir, pattern: *pattern}

	var tables tables
	for _, minor := range strings.Fields(*etcds) {
		tables.etcd = append(tables.etcd, m.withEtcd(ctx, minor, strings.Fields(*packages)))
	}
	versions, err := frameworkVersions(ctx, *frameworks)
	if err != nil {
		return err
	}
	for _, version := range versions {
		tables.framework = append(tables.framework, m.withFramework(ctx, version))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tables.when, tables.pinned = time.Now(), pinned(ctx)
	if err := tables.write(*page); err != nil {
		return err
	}
	if tables.failed() {
		return errors.New("not everything passed, see " + *page)
	}
	return nil
}

// matrix runs tests, with what it needs for them in a directory of its own.
type matrix struct {
	dir     string
	pattern string
}

// row is one version of something, and what the tests said.
type row struct {
	version string
	results []result
	err     error // it cannot be had, or not be built
}

// withEtcd runs packages against the newest etcd of a minor version.
func (m matrix) withEtcd(ctx context.Context, minor string, packages []string) row {
	built, err := buildEtcd(ctx, filepath.Join(m.dir, "etcd-"+minor), minor)
	r := row{version: built.version, err: err}
	if r.version == "" {
		r.version = minor
	}
	if err != nil {
		return r
	}
	fmt.Printf("==> etcd %s: %s\n", r.version, strings.Join(packages, " "))
	r.results, r.err = test(ctx, built.env(), m.pattern, packages)
	return r
}

// withFramework runs the end-to-end tests with another dubbo-go, by a go.mod beside
// that of this module.
func (m matrix) withFramework(ctx context.Context, version string) row {
	r := row{version: version}
	modfile := filepath.Join(m.dir, "dubbo-go-"+version, "go.mod")
	env, err := prepareFramework(ctx, modfile, version)
	if err != nil {
		r.err = err
		return r
	}
	fmt.Printf("==> dubbo-go %s: %s\n", version, withFramework)
	r.results, r.err = test(ctx, env, m.pattern, []string{withFramework})
	return r
}
