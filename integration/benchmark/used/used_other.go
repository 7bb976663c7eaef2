// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package used

import "time"

// CPU is not known on this system.
func CPU() time.Duration { return 0 }
