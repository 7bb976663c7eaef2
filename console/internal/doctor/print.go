// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Print writes a finding for people: a line, and one with what to do.
func Print(w io.Writer, f Finding) {
	_, _ = fmt.Fprintf(w, "%-8s %-11s %s\n", f.Status, f.Check, line(f.Text))
	if f.Do != "" {
		_, _ = fmt.Fprintf(w, "%20s -> %s\n", "", line(f.Do))
	}
}

// line keeps what others wrote from making lines of its own, and from moving the
// cursor of a terminal.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

func bytes(n int64) string {
	const unit = 1024
	switch {
	case n < unit:
		return fmt.Sprintf("%d B", n)
	case n < unit*unit:
		return fmt.Sprintf("%.1f KiB", float64(n)/unit)
	case n < unit*unit*unit:
		return fmt.Sprintf("%.1f MiB", float64(n)/unit/unit)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/unit/unit/unit)
}
