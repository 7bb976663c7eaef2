// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/coreos/go-semver/semver"
)

const (
	serverModule    = "go.etcd.io/etcd/server/v3"
	commandModule   = "go.etcd.io/etcd/etcdctl/v3"
	frameworkModule = "dubbo.apache.org/dubbo-go/v3"
)

// released are the versions of dubbo-go v3.3 that are tried where the module proxy does
// not tell which there are.
var released = []string{"v3.3.0", "v3.3.1"}

// etcd is one that has been built, or unpacked.
type etcd struct{ version, server, command string }

// env has integration/etcdtest run it.
func (e etcd) env() []string {
	return []string{"ETCD_BIN=" + e.server, "ETCDCTL_BIN=" + e.command}
}

// buildEtcd has the newest etcd of a minor version in a directory. That of 3.4 is no
// module of its own, so it is Debian's.
func buildEtcd(ctx context.Context, dir, minor string) (etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return etcd{}, err
	}
	if minor == "3.4" {
		return unpackEtcd(ctx, dir)
	}
	version, err := newest(ctx, dir, minor)
	if err != nil {
		return etcd{version: minor}, err
	}
	e := etcd{strings.TrimPrefix(version, "v"), filepath.Join(dir, "etcd"), filepath.Join(dir, "etcdctl")}
	// In a module each: replace directives of etcd's own go.mod files keep "go install"
	// from building them.
	for module, file := range map[string]string{serverModule: e.server, commandModule: e.command} {
		at := filepath.Join(dir, filepath.Base(file)+".module")
		if err := os.MkdirAll(at, 0o700); err != nil {
			return e, err
		}
		for _, args := range [][]string{
			{"mod", "init", "matrix"},
			{"get", "-tool", module + "@" + version},
			{"build", "-o", file, module},
		} {
			if _, err := command(ctx, at, nil, "go", args...); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// newest returns the newest release of a minor version that the proxy has.
func newest(ctx context.Context, dir, minor string) (string, error) {
	out, err := command(ctx, dir, nil, "go", "list", "-m", "-versions", serverModule)
	if err != nil {
		return "", err
	}
	return newestOf(strings.Fields(out), minor)
}

func newestOf(versions []string, minor string) (string, error) {
	found := releases(versions, minor)
	if len(found) == 0 {
		return "", fmt.Errorf("there is no release of %s", minor)
	}
	return found[len(found)-1], nil
}

// releases returns those of a minor version, the newest last, without what came before
// a release.
func releases(versions []string, minor string) (found []string) {
	var parsed semver.Versions
	for _, text := range versions {
		v, err := semver.NewVersion(strings.TrimPrefix(text, "v"))
		if err == nil && v.PreRelease == "" && fmt.Sprintf("%d.%d", v.Major, v.Minor) == minor {
			parsed = append(parsed, v)
		}
	}
	semver.Sort(parsed)
	for _, v := range parsed {
		found = append(found, "v"+v.String())
	}
	return found
}

// unpackEtcd takes the etcd that this machine's Debian has, without installing it.
func unpackEtcd(ctx context.Context, dir string) (etcd, error) {
	if _, err := command(ctx, dir, nil, "apt-get", "download", "-qq", "etcd-server", "etcd-client"); err != nil {
		return etcd{}, fmt.Errorf("it is had from Debian only: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return etcd{}, err
	}
	for _, file := range files {
		if _, err := command(ctx, dir, nil, "dpkg-deb", "-x", file, dir); err != nil {
			return etcd{}, err
		}
	}
	e := etcd{server: filepath.Join(dir, "usr", "bin", "etcd"), command: filepath.Join(dir, "usr", "bin", "etcdctl")}
	out, err := command(ctx, dir, nil, e.server, "--version")
	if err != nil {
		return e, err
	}
	version := regexp.MustCompile(`etcd Version: (\S+)`).FindStringSubmatch(out)
	if version == nil || !strings.HasPrefix(version[1], "3.4.") {
		return e, fmt.Errorf("the etcd of this Debian is no 3.4: %s", strings.TrimSpace(out))
	}
	e.version = version[1]
	return e, nil
}

// prepareFramework makes a go.mod that has another dubbo-go, and returns what has the go
// command use it.
func prepareFramework(ctx context.Context, modfile, version string) (env []string, err error) {
	if err := os.MkdirAll(filepath.Dir(modfile), 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(modfile), name), content, 0o600); err != nil {
			return nil, err
		}
	}
	// The root module asks for a newer one, so it has to be replaced.
	if _, err := command(ctx, "", nil, "go", "mod", "edit", "-replace", frameworkModule+"="+frameworkModule+"@"+version, modfile); err != nil {
		return nil, err
	}
	env = []string{"GOWORK=off", "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" -mod=mod -modfile="+modfile)}
	_, err = command(ctx, "", env, "go", "vet", withFramework)
	var failed *commandError
	if errors.As(err, &failed) {
		if lacking := lackingIn(failed.said); len(lacking) > 0 {
			err = lackingError{lacking}
		}
	}
	return env, err
}

// lackingError is a version that this module is not for.
type lackingError struct{ packages []string }

func (e lackingError) Error() string {
	return "it does not have " + strings.Join(e.packages, " and ") + ", which this module uses"
}

// lackingIn returns the packages of the framework that the go command looked for in
// modules of their own.
func lackingIn(said string) (packages []string) {
	for _, found := range regexp.MustCompile(`finding module for package `+regexp.QuoteMeta(frameworkModule)+`/(\S+)`).FindAllStringSubmatch(said, -1) {
		packages = append(packages, found[1])
	}
	return packages
}

// frameworkVersions returns those that are asked for.
func frameworkVersions(ctx context.Context, asked string) ([]string, error) {
	switch asked {
	case "none":
		return nil, nil
	case "":
	default:
		return strings.Fields(asked), nil
	}
	required, err := command(ctx, "", nil, "go", "list", "-m", "-f", "{{.Version}}", frameworkModule)
	if err != nil {
		return nil, err
	}
	versions := released
	if out, err := command(ctx, "", nil, "go", "list", "-m", "-versions", frameworkModule); err == nil {
		versions = strings.Fields(out)
	} else {
		fmt.Println("    the proxy does not tell which versions dubbo-go has")
	}
	return slices.DeleteFunc(releases(versions, "3.3"), func(v string) bool { return v == strings.TrimSpace(required) }), nil
}

// command runs a program and returns its output; an error has what it complained of.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), &commandError{name + " " + strings.Join(args, " "), err, strings.TrimSpace(stderr.String())}
	}
	return string(out), nil
}

// commandError is a program that failed, and what it complained of.
type commandError struct {
	command string
	err     error
	said    string
}

func (e *commandError) Error() string {
	lines := strings.Split(e.said, "\n")
	return fmt.Sprintf("%s: %v: %s", e.command, e.err, lines[len(lines)-1])
}

func (e *commandError) Unwrap() error { return e.err }
