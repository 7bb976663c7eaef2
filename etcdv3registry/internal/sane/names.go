// SPDX-License-Identifier: Apache-2.0

package sane

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxNames is how many applications may serve one interface. Hardly any is
	// served by more than a few; of each a process follows the instances.
	MaxNames = 200
	// maxName is how many bytes the name of one may have.
	maxName = 256
)

// Names returns the names of applications out of some, each once, in their order.
// Of too many it has the first and the last: whoever registers adds his own at the
// end. The error says how many are left out; nil: none is.
func Names(all []string) (names []string, err error) {
	left := 0
	seen := make(map[string]bool, len(all))
	for _, name := range all {
		name = strings.TrimSpace(name)
		switch {
		case name == "" || seen[name]:
		case !isApplication(name):
			left++
		default:
			seen[name] = true
			names = append(names, name)
		}
	}
	if over := len(names) - MaxNames; over > 0 {
		left += over
		names = slices.Delete(names, MaxNames/2, MaxNames/2+over)
	}
	if left > 0 {
		err = fmt.Errorf("%d of its names of applications are left out: there may be %d, of %d bytes, on one line and without slashes", left, MaxNames, maxName)
	}
	return slices.Clip(names), err
}

func isApplication(name string) bool {
	return len(name) <= maxName && IsPlain(name) && !strings.Contains(name, "/")
}
