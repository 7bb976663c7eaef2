// SPDX-License-Identifier: Apache-2.0

//go:build unix

package etcdtest

import (
	"os"
	"syscall"
)

// Freeze stops a process without its noticing. It may run on for a moment.
func Freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// Thaw has a process go on that Freeze has stopped.
func Thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
