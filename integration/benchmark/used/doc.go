// SPDX-License-Identifier: Apache-2.0

// Package used tells what a benchmark has used.
package used
