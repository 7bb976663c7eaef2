// SPDX-License-Identifier: Apache-2.0

// Package metrics_test measures what dubbo-go's metrics cost a process that uses
// this registry: two processes, one with them and one without, do the same at the
// same time, against one etcd.
package metrics_test

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(childVariable); how != "" {
		if err := runChild(how); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m)
}

// child is a process, seen by its parent.
type child struct {
	t       testing.TB
	orders  io.Writer
	answers *bufio.Scanner
}

func start(t testing.TB, how string) child {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+how)
	answers, answer, err := os.Pipe()
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{answer}
	orders, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_ = answer.Close()
	t.Cleanup(func() {
		_ = orders.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("a child ended with %v", err)
		}
		_ = answers.Close()
	})
	c := child{t, orders, bufio.NewScanner(answers)}
	require.True(t, c.answers.Scan(), "a child has ended")
	return c
}

func (c child) order(format string, args ...any) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.orders, format+"\n", args...)
	require.NoError(c.t, err)
}

// used returns the CPU time since the child began, when it has done what it was told.
func (c child) used() time.Duration {
	c.t.Helper()
	require.True(c.t, c.answers.Scan(), "a child has ended")
	n, err := strconv.ParseInt(strings.TrimSpace(c.answers.Text()), 10, 64)
	require.NoError(c.t, err)
	return time.Duration(n)
}

// write has all providers of all services be those of a round.
func write(t testing.TB, client *clientv3.Client, round int) {
	t.Helper()
	const pairs = 50
	var ops []clientv3.Op
	for p := range providers { // each service in each batch: its listener is told of single changes
		for s := range services {
			if round > 1 {
				ops = append(ops, clientv3.OpDelete(key(s, p, round-1)))
			}
			ops = append(ops, clientv3.OpPut(key(s, p, round), ""))
		}
	}
	for batch := range slices.Chunk(ops, 2*pairs) {
		_, err := client.Txn(t.Context()).Then(batch...).Commit()
		require.NoError(t, err)
	}
}

func key(s, p, round int) string {
	u := testkit.Provider(service(s), testkit.Address(p), "round", strconv.Itoa(round))
	return "/dubbo/" + service(s) + "/providers/" + url.QueryEscape(u.String())
}

// BenchmarkMetrics reports how much CPU time a process with metrics takes, as a
// multiple of one without that does the same: x-following for changes that it is told
// of, x-registering for what it registers and unregisters. Of each it is the median of
// the rounds.
func BenchmarkMetrics(b *testing.B) {
	const rounds, warm = 40, 5
	var following, registering []float64
	var each time.Duration
	for b.Loop() {
		etcd := etcdtest.Start(b)
		on, off := start(b, "on "+etcd.Endpoint()), start(b, "off "+etcd.Endpoint())
		both := []child{on, off}
		measure := func(do func(child)) (with, without time.Duration) {
			used := make([]time.Duration, 2)
			for _, c := range both {
				c.order("begin")
				c.used()
			}
			for _, c := range both {
				do(c)
			}
			for i, c := range both {
				used[i] = c.used()
			}
			return used[0], used[1]
		}
		for round := 1; round <= rounds; round++ {
			with, without := measure(func(c child) {
				if c == on {
					write(b, etcd.Client(), round)
				}
				c.order("await %d", round)
			})
			withR, withoutR := measure(func(c child) { c.order("register") })
			if round > warm {
				following = append(following, float64(with)/float64(without))
				registering = append(registering, float64(withR)/float64(withoutR))
				each += without
			}
		}
	}
	b.ReportMetric(median(following), "x-following")
	b.ReportMetric(median(registering), "x-registering")
	b.ReportMetric(float64(each.Microseconds())/float64(len(following)*services*providers), "us-CPU/change")
	b.ReportMetric(0, "ns/op") // that of the whole says nothing
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
