// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"errors"
	"os"
)

var errNoFreezing = errors.New("no process can be frozen on Windows")

// Freeze would stop a process without its noticing, which Windows has nothing for.
func Freeze(*os.Process) error { return errNoFreezing }

// Thaw would have a process go on that Freeze has stopped.
func Thaw(*os.Process) error { return errNoFreezing }
