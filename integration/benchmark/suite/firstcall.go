// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// firstCall measures a consumer of 20 services, a process of its own: from its
// start until it has made its first call, which it makes when it has all
// references, and one to each. It counts what the server is asked in that time;
// the provider, another process, is idle.
func firstCall(b *testing.B, c Contender) {
	store := c.Start(b, false)
	at := child{Registry: c.Name, Store: store.Address(), Provider: etcdtest.Reserve(b).Endpoint()}
	serving := at
	serving.Serve = true
	serving.start(b)
	awaitProvider(b, store, at)
	at.calls(b) // so that the files that it reads have been read
	once(b, func() {
		requests := store.Requests(b)
		report := at.calls(b)
		b.ReportMetric(float64(store.Requests(b)-requests), "requests")
		reportTime(b, report.References, "references")
		reportTime(b, report.First, "first")
		reportTime(b, report.All, "total")
	})
}

// awaitProvider waits until the provider listens and is registered: not every
// contender finds one that comes later.
func awaitProvider(b *testing.B, store Store, c child) {
	b.Helper()
	_, ok := testkit.Within(testkit.LongPatience, func() bool {
		conn, err := net.Dial("tcp", c.Provider)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return c.Registry == "" || len(store.Keys(b, "/services/callee/")) > 0
	})
	if !ok {
		b.Fatal("the provider is not registered")
	}
}

// calls runs a consumer to its end, and returns its report.
func (c child) calls(b *testing.B) (report childReport) {
	b.Helper()
	begin := time.Now()
	lines, kill := c.start(b)
	defer kill()
	limit := time.AfterFunc(3*patience, kill)
	defer limit.Stop()
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), childPrefix); ok {
			if err := json.Unmarshal([]byte(text), &report); err != nil {
				b.Fatal(err)
			}
			return report.since(begin)
		}
	}
	b.Fatalf("the consumer has not called each reference within %v", 3*patience)
	return report
}

// start runs this test binary as a child, which is killed when the benchmark
// ends, or by kill.
func (c child) start(b *testing.B) (output *bufio.Scanner, kill func()) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	spec, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = b.TempDir()
	cmd.Env = append(os.Environ(), childVariable+"="+string(spec), "HOME="+cmd.Dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // ends with this process, and the child with it
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b.Cleanup(kill)
	if c.Serve {
		return nil, kill
	}
	return bufio.NewScanner(stdout), kill
}
