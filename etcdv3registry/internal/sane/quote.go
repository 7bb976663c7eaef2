// SPDX-License-Identifier: Apache-2.0

package sane

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shown is how many bytes of what others wrote a line of the log has.
const shown = 200

// Quote returns a text for the log or an error: quoted, on one line, at most 200
// bytes of it, with its length if that is more.
func Quote(s string) string {
	if len(s) <= shown {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(cut(s)), len(s))
}

// Show is Quote, but without quotes for what needs none.
func Show(s string) string {
	switch start := cut(s); {
	case !IsPlain(start):
		return Quote(s)
	case start != s:
		return fmt.Sprintf("%s... (%d bytes)", start, len(s))
	default:
		return s
	}
}

// ShowAll is Show of some texts, at most ten of them.
func ShowAll(all []string) string {
	const most = 10
	some := make([]string, 0, most)
	for i, s := range all {
		if i == most {
			return fmt.Sprintf("%s and %d more", strings.Join(some, ","), len(all)-most)
		}
		some = append(some, Show(s))
	}
	return strings.Join(some, ",")
}

func cut(s string) string {
	if len(s) <= shown {
		return s
	}
	end := shown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
