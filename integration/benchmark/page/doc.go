// SPDX-License-Identifier: Apache-2.0

// Command page runs the benchmarks of package suite on every contender, and
// writes what they found: docs/benchmarks.md, plots beside it in
// docs/benchmarks/, and there the benchmarks' own output, results.txt, which
// benchstat reads. It is run in the directory of the integration module:
//
//	go run ./benchmark/page                  # run all, write the page
//	go run ./benchmark/page -run Start       # run these, keep what there is of others
//	go run ./benchmark/page -run '^$'        # write the page anew, of results.txt
//	BENCH_QUICK=1 go run ./benchmark/page -out /tmp/page  # see that it works
//
// Every benchmark is run in a process of its own, and those that are run several
// times are run in turns with the other contenders: a machine that is busy for a
// while is busy for all of them.
package main
