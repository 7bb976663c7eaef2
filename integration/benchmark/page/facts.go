// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// fact is something that the figures depend on, of the run of which they are.
type fact struct{ Name, Value string }

// sources tell the facts of now and here, which are written before the results,
// under a key each.
var sources = []struct {
	key, name string
	find      func() string // nil for what the benchmarks write
}{
	{"date", "Date", func() string { return time.Now().UTC().Format("2006-01-02 15:04 UTC") }},
	{"commit", "Commit", commit},
	{"cpu", "Processor", nil},
	{"cores", "Cores", func() string { return strconv.Itoa(runtime.NumCPU()) }},
	{"memory", "Memory", memory},
	{"system", "System", func() string { return output("uname", "-sr") + " " + runtime.GOARCH }},
	{"go-version", "Go", func() string { return strings.TrimPrefix(output("go", "env", "GOVERSION"), "go") }},
	{"dubbo-go", "dubbo-go", func() string { return version("dubbo.apache.org/dubbo-go/v3") }},
	{"etcd-client", "etcd's client", func() string { return version("go.etcd.io/etcd/client/v3") }},
	{"etcd", "etcd", func() string { return version("go.etcd.io/etcd/server/v3") }},
	{"zookeeper", "ZooKeeper", func() string { return output("dpkg-query", "-W", "-f", "${Version}", "zookeeper") }},
}

// commit is the tree that is measured: the page that is written is no change of it.
func commit() string {
	is := output("git", "describe", "--always", "--exclude=*")
	if output("git", "status", "--porcelain", "--", ":/", ":!/docs") != "" {
		is += "-dirty"
	}
	return is
}

func version(module string) string {
	return output("go", "list", "-m", "-f", "{{.Version}}", module)
}

// output is what a command says.
func output(name string, args ...string) string {
	said, err := exec.Command(name, args...).Output()
	if err != nil {
		return "not there"
	}
	return strings.TrimSpace(string(said))
}

func memory() string {
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(info)) {
		if total, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			return strings.TrimSpace(total)
		}
	}
	return "unknown"
}
