// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package etcdtest

import "syscall"

// sysProcAttr asks for nothing: only Linux can tie a child's life to its parent's.
func sysProcAttr() *syscall.SysProcAttr { return nil }

// waitStopped trusts Freeze to have its effect before a test's next request.
func waitStopped(int) error { return nil }
