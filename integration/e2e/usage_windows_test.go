// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of the processors since it started.
func cpuTime() time.Duration {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	// A span, in units of 100 ns, unlike the moments that Filetime is for.
	span := func(t syscall.Filetime) time.Duration {
		return 100 * time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime))
	}
	return span(kernel) + span(user)
}
