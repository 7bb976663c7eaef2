// SPDX-License-Identifier: Apache-2.0

//go:build unix

package used

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time of processors that this process has used.
func CPU() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
