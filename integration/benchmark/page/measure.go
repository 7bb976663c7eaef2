// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// contenders are the packages that have test binaries, in the order of the
// page's columns.
var contenders = []string{"floor", "ours", "builtin", "zookeeper"}

// job is a benchmark to run.
type job struct {
	name   string // without "Benchmark"
	rounds int    // how often
	only   string // the one contender that has it, unless empty
}

// jobs are all benchmarks, in the order in which they are run.
func jobs() []job {
	all := []job{
		{name: "InterfaceLevel/Register/fsync=off", rounds: 3},
		{name: "InterfaceLevel/Register/fsync=on", rounds: 3},
		{name: "InterfaceLevel/RegisterMany/fsync=off", rounds: 3},
		{name: "InterfaceLevel/RegisterMany/fsync=on", rounds: 3},
		{name: "InterfaceLevel/Added", rounds: 3},
		{name: "InterfaceLevel/Removed", rounds: 3},
		{name: "ApplicationLevel/Register", rounds: 3},
		{name: "ApplicationLevel/Changed", rounds: 3},
		{name: "ApplicationLevel/GetInstances", rounds: 1},
		{name: "ApplicationLevel/FirstCall", rounds: 3},
		{name: "InterfaceLevel/Recovery/restart", rounds: 1},
		{name: "InterfaceLevel/Recovery/sessions", rounds: 1},
		{name: "InterfaceLevel/Recovery/one-key", rounds: 1},
		{name: "InterfaceLevel/Recovery/all-keys", rounds: 1},
		{name: "InterfaceLevel/Herd", rounds: 1},
	}
	for _, n := range scale.Starts() {
		all = append(all, job{name: "InterfaceLevel/Start/" + strconv.Itoa(n), rounds: 3},
			job{name: "AgainstFloor/Start/" + strconv.Itoa(n), rounds: 1, only: "ours"})
	}
	for _, fsync := range []string{"fsync=off", "fsync=on"} {
		all = append(all, job{name: "AgainstFloor/Register/" + fsync, rounds: 1, only: "ours"},
			job{name: "AgainstFloor/RegisterMany/" + fsync, rounds: 1, only: "ours"})
		for _, size := range scale.Batches {
			all = append(all, job{name: "Batches/" + fsync + "/" + strconv.Itoa(size), rounds: 1, only: "floor"})
		}
	}
	for _, n := range scale.Fleets() {
		all = append(all, job{name: "InterfaceLevel/Fleet/" + strconv.Itoa(n), rounds: 1})
	}
	return all
}

// limit is how long one process may take.
func limit() time.Duration { return scale.For(4*time.Minute, time.Minute) }

// measure runs the chosen benchmarks and appends what they say to a file.
func measure(file string, chosen *regexp.Regexp) error {
	programs, err := os.MkdirTemp("", "benchmarks-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(programs) }()
	results, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer results.Close()
	for _, s := range sources {
		if s.find != nil {
			if _, err := fmt.Fprintf(results, "%s: %s\n", s.key, s.find()); err != nil {
				return err
			}
		}
	}
	for _, c := range contenders {
		if err := build(programs, c); err != nil {
			return err
		}
	}
	for _, j := range jobs() {
		if !chosen.MatchString(j.name) {
			continue
		}
		if scale.Quick() {
			j.rounds = 1
		}
		for range j.rounds {
			if err := j.round(results, programs); err != nil {
				return err
			}
		}
	}
	return results.Close()
}

func program(programs, contender string) string { return filepath.Join(programs, contender+".test") }

func build(programs, contender string) error {
	cmd := exec.Command("go", "test", "-c", "-o", program(programs, contender), "./benchmark/"+contender)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the benchmarks of %s: %w\n%s", contender, err, output)
	}
	return nil
}

// round runs a benchmark once for each contender, one after another; all at once
// where it is not measured.
func (j job) round(results io.Writer, programs string) error {
	var running errgroup.Group
	if !scale.Quick() {
		running.SetLimit(1)
	}
	texts := make([]string, len(contenders))
	for i, c := range contenders {
		if j.only == "" || j.only == c {
			running.Go(func() (err error) {
				texts[i], err = j.run(programs, c)
				return err
			})
		}
	}
	if err := running.Wait(); err != nil {
		return err
	}
	_, err := io.WriteString(results, strings.Join(texts, ""))
	return err
}

// run runs a benchmark of one contender, and returns its record. That it fails is
// a result.
func (j job) run(programs, contender string) (string, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), limit())
	defer cancel()
	cmd := exec.CommandContext(ctx, program(programs, contender), "-test.run=^$", "-test.bench="+j.pattern(), "-test.benchtime=1x", "-test.v")
	cmd.Dir = filepath.Join("benchmark", contender) // as go test has it
	var output, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("run %s of %s: %w", j.name, contender, err)
	}
	if ctx.Err() != nil {
		fmt.Fprintf(&errs, "\nfatal error: no end in %v\n", limit())
	}
	text := j.record(contender, output.String(), errs.String(), err)
	fmt.Fprintf(os.Stderr, "%5.1fs %-10s %s\n", time.Since(begin).Seconds(), contender, strings.TrimSpace(lastLine(text)))
	return text, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "why:" || len(lines) < 2 {
		return last
	}
	return lines[len(lines)-2] + " " + lines[len(lines)-3]
}

// pattern matches the benchmark and no other.
func (j job) pattern() string {
	parts := strings.Split("Benchmark"+j.name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// record returns of a process's output what is a result, in Go's format of
// benchmarks. One that came to nothing gets a line too, with why it did in the
// configuration: "skipped" if it was, "failed" otherwise; none if there is no such
// benchmark.
func (j job) record(contender, output, errs string, failed error) string {
	var kept strings.Builder
	fmt.Fprintf(&kept, "contender: %s\n", contender)
	found := false
	for line := range strings.Lines(output) {
		switch {
		case strings.HasPrefix(line, "Benchmark") && len(strings.Fields(line)) > 2:
			found = true
			kept.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
		case strings.HasPrefix(line, "goos: "), strings.HasPrefix(line, "goarch: "), strings.HasPrefix(line, "pkg: "), strings.HasPrefix(line, "cpu: "):
			kept.WriteString(line)
		}
	}
	unit := ""
	switch {
	case found:
		return kept.String()
	case strings.Contains(output, "--- SKIP: "):
		unit = "skipped"
	case failed != nil:
		unit = "failed"
	default:
		return ""
	}
	fmt.Fprintf(&kept, "why: %s\nBenchmark%s 1 1 %s\nwhy:\n", reason(output, errs), j.name, unit)
	return kept.String()
}

var (
	panicked = regexp.MustCompile(`(?m)^(?:panic|fatal error): .*`)
	message  = regexp.MustCompile(`(?m)^    \w+\.go:\d+: (.*)`)
)

// reason is why a benchmark has no result, in a line. A panic is on stderr, a
// message of the benchmark in its output; of a long one, the end tells most.
func reason(output, errs string) string {
	why := "the process ended"
	if found := panicked.FindString(errs); found != "" {
		why = found
	} else if found := message.FindStringSubmatch(output); found != nil {
		why = found[1]
	}
	const most = 100
	if parts := strings.Split(why, ": "); len(why) > most {
		why = parts[0][:min(most, len(parts[0]))]
		if last := parts[len(parts)-1]; len(parts) > 1 && len(last) < most {
			why = last
		}
	}
	return why
}
