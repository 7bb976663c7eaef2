// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// row is one of a table: a unit of a benchmark, in a cell for each contender.
type row struct {
	title string
	bench string
	unit  string // as benchfmt has it: what was "-ns" is in seconds, and ends in "-sec"
	show  func(float64) string
}

// group is a table.
type group struct {
	title, text string
	rows        []row
}

func groups() []group {
	return []group{
		{"Providers", "`Register` and `UnRegister` at the interface level. With fsync the server has on its disk what it says that it has.", []row{
			{"Register, one after another, p50", "InterfaceLevel/Register/fsync=off", "p50-sec", duration},
			{"p99", "InterfaceLevel/Register/fsync=off", "p99-sec", duration},
			{"the same with fsync, p50", "InterfaceLevel/Register/fsync=on", "p50-sec", duration},
			{fmt.Sprintf("%s Register, 16 at a time, in all", count(scale.Of(2000, 50))), "InterfaceLevel/RegisterMany/fsync=off", "total-sec", duration},
			{"the same with fsync", "InterfaceLevel/RegisterMany/fsync=on", "total-sec", duration},
		}},
		{"Consumers", "From a new consumer's first call until its listener knows all providers, and from `Register` or `UnRegister` in another registry until the listener has been told, one after another.", append(starts(),
			row{"Register to the listener, p50", "InterfaceLevel/Added", "p50-sec", duration},
			row{"p99", "InterfaceLevel/Added", "p99-sec", duration},
			row{"UnRegister to the listener, p50", "InterfaceLevel/Removed", "p50-sec", duration},
			row{"p99", "InterfaceLevel/Removed", "p99-sec", duration},
		)},
		{"Applications", "The application level, which is dubbo-go's default.", []row{
			{"Register an instance, p50", "ApplicationLevel/Register", "p50-sec", duration},
			{fmt.Sprintf("GetInstances of %s, the first time", count(scale.Of(10_000, 100))), "ApplicationLevel/GetInstances", "total-sec", duration},
			{fmt.Sprintf("a change of one of %s to the listener, p50", count(scale.Of(1000, 50))), "ApplicationLevel/Changed", "p50-sec", duration},
			{"p99", "ApplicationLevel/Changed", "p99-sec", duration},
			{"a process with 20 references: from its start to its first call", "ApplicationLevel/FirstCall", "first-sec", duration},
			{"to a call of each", "ApplicationLevel/FirstCall", "total-sec", duration},
			{"messages to the server until then", "ApplicationLevel/FirstCall", "requests", number},
		}},
		{"Recovery", fmt.Sprintf("A process with %s registrations, and a consumer of them, with the default session. The floor keeps nothing true, and is not asked for what was lost.", count(scale.Of(1000, 30))), []row{
			{"the server was away for 3 to 7 s: until all is exact, median of five times", "InterfaceLevel/Recovery/restart", "total-sec", duration},
			{"all sessions ended by an operator: until all keys are back", "InterfaceLevel/Recovery/sessions", "total-sec", duration},
			{"for how long each was gone, p99", "InterfaceLevel/Recovery/sessions", "p99-sec", duration},
			{"a key deleted by hand: until it is back, p50", "InterfaceLevel/Recovery/one-key", "p50-sec", duration},
			{"p99", "InterfaceLevel/Recovery/one-key", "p99-sec", duration},
			{"all keys deleted by hand, one after another: for how long each was gone, p99", "InterfaceLevel/Recovery/all-keys", "p99-sec", duration},
		}},
		{"A herd", fmt.Sprintf("%s processes, each with a connection, a session, a provider and a subscription of its own, when their server was killed and comes back after 12 s. All of them are on one machine with it.", count(scale.Of(1000, 100))), []row{
			{"until all is exact", "InterfaceLevel/Herd", "total-sec", duration},
			{"messages to the server, for each process, with the keep-alives of half a minute", "InterfaceLevel/Herd", "requests/client", number},
		}},
		{"Growth", "One consumer of all providers, of 100 a service: its start; at rest; and when providers come and go, 20 a second. CPU time is of one core, and that of the whole process: the client that makes the changes, and the benchmark, are in it. The cache file is as it is by default.", fleets()},
	}
}

// versus is a row of what this registry and the floor did in one process.
type versus struct{ title, bench string }

func versuses() (all []versus) {
	for _, n := range scale.Starts() {
		all = append(all, versus{fmt.Sprintf("a new consumer knows %s providers", count(n)), "AgainstFloor/Start/" + strconv.Itoa(n)})
	}
	many := count(scale.Of(2000, 50)) + " Register, 16 at a time"
	return append(all,
		versus{"Register", "AgainstFloor/Register/fsync=off"},
		versus{"the same with fsync", "AgainstFloor/Register/fsync=on"},
		versus{many, "AgainstFloor/RegisterMany/fsync=off"},
		versus{"the same with fsync", "AgainstFloor/RegisterMany/fsync=on"},
	)
}

// cells are what a table of them has.
func (v versus) cells(all *results) []string {
	o, cells := all.of("ours", v.bench), []string{v.title}
	for _, column := range []struct {
		unit string
		show func(float64) string
	}{
		{"floor-p50-sec", duration},
		{"ours-p50-sec", duration},
		{"x-floor", func(x float64) string { return fmt.Sprintf("%.2f", x) }},
	} {
		value, ok := o.median(column.unit)
		switch {
		case ok:
			cells = append(cells, column.show(value))
		case o.has("failed"):
			cells = append(cells, o.why)
		default:
			cells = append(cells, "")
		}
	}
	return cells
}

// batchCells is a row of the table of batches.
func batchCells(all *results, size int) []string {
	cells := []string{strconv.Itoa(size)}
	for _, fsync := range []string{"fsync=off", "fsync=on"} {
		cell := ""
		if value, ok := all.of("floor", "Batches/"+fsync+"/"+strconv.Itoa(size)).median("per-key-sec"); ok {
			cell = duration(value)
		}
		cells = append(cells, cell)
	}
	return cells
}

func starts() (rows []row) {
	for _, n := range scale.Starts() {
		rows = append(rows, row{fmt.Sprintf("a new consumer knows %s providers", count(n)), "InterfaceLevel/Start/" + strconv.Itoa(n), "total-sec", duration})
	}
	return rows
}

func fleets() (rows []row) {
	for _, of := range []row{
		{"%s instances: start", "", "start-sec", duration},
		{"%s instances: CPU of the start, for each", "", "start-cpu-sec/instance", duration},
		{"%s instances: memory, for each", "", "B/instance", size},
		{"%s instances: goroutines a subscription", "", "goroutines/subscription", number},
		{"%s instances, at rest: CPU", "", "rest-cpu-%", percent},
		{"%s instances, at rest: messages to the server a minute", "", "rest-requests/min", number},
		{"%s instances, 20 changes a second: CPU", "", "churn-cpu-%", percent},
		{"%s instances, 20 changes a second: written to disk a second", "", "churn-written-B/s", size},
	} {
		for _, n := range scale.Fleets() {
			rows = append(rows, row{fmt.Sprintf(of.title, count(n)), "InterfaceLevel/Fleet/" + strconv.Itoa(n), of.unit, of.show})
		}
	}
	return rows
}

// cell is what a contender has in a row.
func (r row) cell(all *results, contender string) string {
	o := all.of(contender, r.bench)
	switch {
	case o == nil:
		return ""
	case o.has("skipped"), o.has("failed"):
		return o.why
	}
	value, ok := o.median(r.unit)
	switch shortfall := o.shortfall(); {
	case ok && shortfall == "":
		return r.show(value)
	case ok:
		return r.show(value) + ", " + shortfall
	case o.least("errors") > 0:
		return "refused; " + shortfall
	case shortfall != "":
		return shortfall
	default:
		return ""
	}
}

// ratio is this registry's value by the floor's.
func (r row) ratio(all *results) string {
	ours, ok := all.of("ours", r.bench).median(r.unit)
	floor, both := all.of("floor", r.bench).median(r.unit)
	if !ok || !both || floor <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ours/floor)
}

func duration(seconds float64) string {
	switch {
	case seconds >= 1:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds >= 10e-3:
		return fmt.Sprintf("%.0f ms", seconds*1e3)
	case seconds >= 100e-6:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	default:
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	}
}

func size(n float64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", n/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	default:
		return fmt.Sprintf("%.0f B", n)
	}
}

func percent(p float64) string { return fmt.Sprintf("%.2f %%", p) }

func number(n float64) string { return fmt.Sprintf("%.1f", n) }

// count is a number with a comma where a thousand begins.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
