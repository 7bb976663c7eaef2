// SPDX-License-Identifier: Apache-2.0

// Package mask hides what is not to be seen: whatever in etcd may be a secret of its
// owner.
package mask

import (
	"regexp"
	"slices"
	"strings"
)

const (
	hidden = "***"
	// Longest is how many bytes of a value are shown.
	Longest = 2000
)

// secrets are what the names of parameters have in them that are not shown,
// whatever their case and punctuation.
var secrets = []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "accesskey", "privatekey", "apikey", "authorization"}

// words are secrets that are too short to be looked for within others.
var words = []string{"auth", "ak", "sk", "key", "cert", "pass", "pw"}

// credentials are those in a URL, be it a part of a value, and encoded there.
var (
	credentials = regexp.MustCompile(`://[^/?#\s,;]*@`)
	encoded     = regexp.MustCompile(`(?i)(%(?:25)*3A%(?:25)*2F%(?:25)*2F)(?:[^%&\s,;]|%(?:25)*3A|%(?:25)*[4-7][1-9A-F])*(%(?:25)*40)`)
)

// Value is a value as it may be shown, by the name that it has.
func Value(name, value string) string {
	for _, word := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_. ~", r) }) {
		if value != "" && slices.Contains(words, word) {
			return hidden
		}
	}
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
	for _, s := range secrets {
		if value != "" && strings.Contains(name, s) {
			return hidden
		}
	}
	value = credentials.ReplaceAllString(value, "://"+hidden+"@")
	return Cut(encoded.ReplaceAllString(value, "${1}"+hidden+"${2}"))
}

// Cut shortens what would fill the page.
func Cut(s string) string {
	if len(s) <= Longest {
		return s
	}
	return strings.ToValidUTF8(s[:Longest], "") + "…"
}

// Key is a key of etcd as it may be shown: without the parameters of a URL, and without
// its credentials.
func Key(key string) string {
	lower := strings.ToLower(key)
	for _, mark := range []string{"?", "%3f", "%253f"} {
		if at := strings.Index(lower, mark); at >= 0 {
			key, lower = key[:at]+"…", lower[:at]
		}
	}
	return Value("", key)
}
