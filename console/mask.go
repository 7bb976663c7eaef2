// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
)

const (
	hidden  = "***"
	longest = 2000 // characters of a value that the page is told
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

// shown is a value as it may be shown.
func shown(name, value string) string {
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
	return cut(encoded.ReplaceAllString(value, "${1}"+hidden+"${2}"))
}

// cut shortens what would fill the page.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
