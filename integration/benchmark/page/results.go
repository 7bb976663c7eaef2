// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// outcome is what the rounds of a benchmark of a contender have found.
type outcome struct {
	values map[string][]float64 // of each round, by unit
	why    string               // there are no values
	run    string               // when measure was called that ran it
}

// results are all outcomes, by contender and by name.
type results struct {
	outcomes map[string]map[string]*outcome
	facts    []fact // those of the last run
}

// read reads what measure has written. Of a benchmark that a later call has run
// again, the earlier rounds do not count.
func read(file string) (*results, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := &results{outcomes: map[string]map[string]*outcome{}}
	reader := benchfmt.NewReader(f, file)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			all.take(record)
		case *benchfmt.SyntaxError:
			return nil, record
		}
	}
	return all, reader.Err()
}

func (r *results) take(record *benchfmt.Result) {
	contender := record.GetConfig("contender")
	if r.outcomes[contender] == nil {
		r.outcomes[contender] = map[string]*outcome{}
	}
	r.facts = nil
	for _, s := range sources {
		if value := record.GetConfig(s.key); value != "" {
			r.facts = append(r.facts, fact{s.name, value})
		}
	}
	name := name(record)
	o := r.outcomes[contender][name]
	if run := record.GetConfig("date"); o == nil || o.run != run {
		o = &outcome{values: map[string][]float64{}, run: run}
		r.outcomes[contender][name] = o
	}
	o.why = record.GetConfig("why")
	for _, v := range record.Values {
		o.values[v.Unit] = append(o.values[v.Unit], v.Value)
	}
}

// name is that of a benchmark without the number of processors.
func name(record *benchfmt.Result) string {
	base, parts := record.Name.Parts()
	name := string(base)
	for _, part := range parts {
		if part[0] == '/' {
			name += string(part)
		}
	}
	return name
}

// of returns what a contender's benchmark has found; nil if it was not run.
func (r *results) of(contender, name string) *outcome { return r.outcomes[contender][name] }

// median returns that of a unit over all rounds.
func (o *outcome) median(unit string) (value float64, ok bool) {
	if o == nil || len(o.values[unit]) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(o.values[unit]))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2, true
	}
	return sorted[len(sorted)/2], true
}

// least returns the smallest value of a unit.
func (o *outcome) least(unit string) float64 {
	if o == nil || len(o.values[unit]) == 0 {
		return 0
	}
	return slices.Min(o.values[unit])
}

// has says whether a round was an outcome of this unit: "skipped", "failed".
func (o *outcome) has(unit string) bool { return o != nil && len(o.values[unit]) > 0 }

// shortfall tells how often what was to happen did, unless always.
func (o *outcome) shortfall() string {
	arrived, wanted := o.least("arrived"), o.least("wanted")
	switch {
	case o == nil || arrived >= wanted:
		return ""
	case arrived == 0:
		return fmt.Sprintf("never in %.0f s", o.least("s-of-patience"))
	default:
		return fmt.Sprintf("%.0f of %.0f", arrived, wanted)
	}
}
