// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	out := flag.String("out", "../docs", "the directory of benchmarks.md")
	run := flag.String("run", "", "runs only the benchmarks of which the name, such as InterfaceLevel/Start/1000, matches this regular expression")
	flag.Parse()
	if err := publish(*out, *run); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

// publish runs the benchmarks that match, and writes the page of all results.
func publish(out, run string) error {
	chosen, err := regexp.Compile(run)
	if err != nil {
		return err
	}
	pictures := filepath.Join(out, "benchmarks")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	file := filepath.Join(pictures, "results.txt")
	if run == "" {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := measure(file, chosen); err != nil {
		return err
	}
	all, err := read(file)
	if err != nil {
		return err
	}
	if err := plots(pictures, all); err != nil {
		return err
	}
	return write(filepath.Join(out, "benchmarks.md"), all)
}
