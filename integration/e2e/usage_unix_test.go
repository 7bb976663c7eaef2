// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e_test

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of the processors since it started.
func cpuTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
