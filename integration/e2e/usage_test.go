// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// usage is what a process holds at a moment. What the connections of Triple hold
// is not in it: dubbo-go never closes them, also not when a reference is destroyed
// (clientManager.close of its protocol/triple does nothing in v3.3.2).
type usage struct {
	Goroutines int
	Sockets    int           // open, also those that listen; none where there is no /proc
	Heap       uint64        // bytes of it that are in use
	CPU        time.Duration // that the process has used since it started
}

// usageNow returns what this process holds. It collects the garbage first.
func usageNow() usage {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	triple := 0
	for stack, n := range stacks() {
		if strings.Contains(stack, "golang.org/x/net/http2.(*ClientConn).readLoop") {
			triple += n
		}
	}
	return usage{
		Goroutines: runtime.NumGoroutine() - triple,
		Sockets:    max(0, sockets()-triple),
		Heap:       memory.HeapAlloc,
		CPU:        cpuTime(),
	}
}

// stacks returns how many goroutines are where.
func stacks() map[string]int {
	var profile strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	all := map[string]int{}
	for one := range strings.SplitSeq(profile.String(), "\n\n") {
		first, stack, found := strings.Cut(one, "\n")
		if strings.HasPrefix(first, "goroutine profile:") {
			first, stack, found = strings.Cut(stack, "\n")
		}
		n, err := strconv.Atoi(strings.SplitN(first, " ", 2)[0])
		if !found || err != nil {
			continue
		}
		var calls []string
		for line := range strings.SplitSeq(stack, "\n") {
			if fields := strings.Fields(line); len(fields) > 2 {
				function, _, _ := strings.Cut(fields[2], "+0x")
				calls = append(calls, function)
			}
		}
		all[strings.Join(calls, " < ")] += n
	}
	return all
}

func sockets() int {
	descriptors, _ := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, name := range descriptors {
		if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}
