// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// results are what has been measured.
type results struct {
	begun                           time.Time
	machine, version                string
	filled                          []filled
	grown                           []grown
	changed                         []changed
	changedAt                       int // processes
	filledEnd, grownEnd, changedEnd string
}

const noLimit = "No limit showed."

func outOfTime(what string, size int) string {
	return fmt.Sprintf("No limit showed. More, %d %s, were not tried: there was no time left.", size, what)
}

func failedWith(size int, what string) string {
	return fmt.Sprintf("With %d %s the measurement itself failed: see what the test says.", size, what)
}

func limited(at, problem string, l load) string {
	return fmt.Sprintf("The limit showed with %s: %s. What was short: %s.", at, problem, l.limit())
}

func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s by `make scaling`, in %v.\nThe machine: %s.\netcd %s, three members with fsync; they and all their clients share the machine.\n",
		r.begun.Format(time.DateOnly), time.Since(r.begun).Round(time.Second), r.machine, r.version)
	if others := r.others(); others > 0.2 {
		fmt.Fprintf(&b, "\n**Other programs used up to %.1f cores meanwhile: measure again on a machine where there are none.**\n", others)
	}
	fmt.Fprintf(&b, "\n### Instances\n\nFew processes register many providers, %d to a service.\n\n", perService)
	table(&b, []string{"Instances", "Registered a second", "Database in use, MiB", "Database, MiB", "Memory of a member, MiB", "A process that starts knows all after, s", "A member that was killed is back after, s"})
	for _, f := range r.filled {
		row(&b, f.instances, rounded(f.perSecond), tenths(f.inUse), tenths(f.database), rounded(f.memory), seconds(f.known), seconds(f.back))
	}
	fmt.Fprintf(&b, "\n%s\n", r.filledEnd)

	fmt.Fprintf(&b, "\n### Processes\n\nEach provides a service and refers to two, of which each has %d providers and %d consumers;\nit has %d keys, one lease and a connection to each member. CPU is in cores, of all members together.\n\n", block, block*references, 1+references)
	table(&b, []string{"Processes", "Started a second", "File descriptors of a member", "Watches", "Memory of a member, MiB",
		"CPU of etcd at rest", "Keep-alives a second", fmt.Sprintf("%d changes a second: CPU of etcd", few), "told after, p50, ms", "p99, ms",
		fmt.Sprintf("etcd was away for %v: exact after, s", outage), "Requests a process"})
	for _, g := range r.grown {
		row(&b, g.processes, rounded(g.started), rounded(g.connections), rounded(g.watches), rounded(g.memory),
			cores(g.rest.etcd), rounded(g.rest.keepAlives), cores(g.changed.etcd), milliseconds(g.changed.lags.quantile(0.5)), milliseconds(g.changed.lags.quantile(0.99)),
			g.herd.took(), tenths(g.herd.requests))
	}
	fmt.Fprintf(&b, "\n%s\n", r.grownEnd)

	if len(r.changed) == 0 {
		b.WriteString("\n### Changes\n\nNot measured: the limit showed before.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n### Changes\n\n%d processes, as above. A change is a provider that comes, or goes; %d consumers are told of it.\n\n", r.changedAt, block*references)
	table(&b, []string{"Changes a second", "taken", "Consumers told a second", "told after, p50, ms", "p99, ms", "CPU of etcd", "of the largest member", "of the clients",
		"Sent to clients, MiB/s", "fsync, p99, ms", "Database grows by, KiB a change"})
	for _, c := range r.changed {
		row(&b, c.asked, rounded(c.done), rounded(c.done*block*references), milliseconds(c.lags.quantile(0.5)), milliseconds(c.lags.quantile(0.99)),
			cores(c.etcd), cores(c.largest), cores(c.clients), tenths(c.sent), milliseconds(c.fsync), tenths(c.written/1024/max(1, c.done*c.seconds)))
	}
	fmt.Fprintf(&b, "\n%s\n", r.changedEnd)
	return b.String()
}

// others is the most that other programs used, in cores, while something was
// measured.
func (r *results) others() (most float64) {
	for _, f := range r.filled {
		most = max(most, f.others())
	}
	for _, g := range r.grown {
		most = max(most, g.rest.others(), g.changed.others())
	}
	for _, c := range r.changed {
		most = max(most, c.others())
	}
	return most
}

func (f filled) String() string {
	return fmt.Sprintf("%d instances: %.0f a second, known after %v, back after %v, %.0f MiB in use; %s", f.instances, f.perSecond, f.known, f.back, f.inUse, f.problem)
}

func (g grown) String() string {
	return fmt.Sprintf("%d processes: %.0f started a second, %.2f cores at rest, told after %v and %v, exact after %v; %s", g.processes, g.started, g.rest.etcd,
		g.changed.lags.quantile(0.5), g.changed.lags.quantile(0.99), g.herd.exact, g.problem)
}

func (c changed) String() string {
	return fmt.Sprintf("%d changes a second: %.0f taken, told after %v and %v, %.2f cores with etcd and %.2f with the clients; %s", c.asked, c.done,
		c.lags.quantile(0.5), c.lags.quantile(0.99), c.etcd, c.clients, c.problem)
}

func table(b *strings.Builder, titles []string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat("---:|", len(titles)))
}

func row(b *strings.Builder, cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(b, "| %v ", cell)
	}
	b.WriteString("|\n")
}

func rounded(f float64) string            { return fmt.Sprintf("%.0f", f) }
func tenths(f float64) string             { return fmt.Sprintf("%.1f", f) }
func cores(f float64) string              { return fmt.Sprintf("%.2f", f) }
func seconds(d time.Duration) string      { return fmt.Sprintf("%.1f", d.Seconds()) }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

// thisMachine says what it is.
func thisMachine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`).FindSubmatch(info); found != nil {
			model = string(found[1])
		}
	}
	kib := 0.0
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscanf(string(info), "MemTotal: %f", &kib)
	}
	return fmt.Sprintf("%d cores (%s), %.0f GiB, %s", runtime.NumCPU(), model, kib/(1<<20), runtime.Version())
}

// version is that of the members.
func (s *scene) version() (version string) {
	s.t.Helper()
	leader := s.etcd.Leader()
	testkit.Do(s.t, func(ctx context.Context) error {
		var status *clientv3.StatusResponse
		status, err := leader.Client().Status(ctx, leader.URL())
		if err == nil {
			version = status.Version
		}
		return err
	})
	return version
}

// What is between these lines of the page is replaced.
const (
	sectionBegin = "<!-- scaling: what follows is written by make scaling -->"
	sectionEnd   = "<!-- scaling: end -->"
)

func replaceSection(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(page, []byte(sectionBegin))
	_, after, ended := bytes.Cut(rest, []byte(sectionEnd))
	if !found || !ended {
		return errors.New(path + " has no section for the tables: " + sectionBegin)
	}
	return os.WriteFile(path, fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", before, sectionBegin, strings.TrimSpace(text), sectionEnd, after), 0o644)
}

func TestSectionOfThePageIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("before\n"+sectionBegin+"\nold\n"+sectionEnd+"\nafter\n"), 0o600))
	for _, text := range []string{"new\n", "newer"} {
		require.NoError(t, replaceSection(path, text))
		page, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "before\n"+sectionBegin+"\n\n"+strings.TrimSpace(text)+"\n"+sectionEnd+"\nafter\n", string(page))
	}
	require.NoError(t, os.WriteFile(path, []byte("nothing"), 0o600))
	require.ErrorContains(t, replaceSection(path, "new"), "has no section")
}

func TestThePageHasTheSection(t *testing.T) {
	page, err := os.ReadFile("../../../docs/scaling.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), sectionBegin)
	assert.Contains(t, string(page), sectionEnd)
}
