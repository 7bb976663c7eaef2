// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
)

const (
	hidden  = "***"
	longest = 2000 // characters of a value that the page is told
)

// secrets are what the names of parameters have in them that are not shown,
// whatever their case and punctuation.
var secrets = []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "accesskey", "privatekey", "apikey", "authorization"}

// credentials are those in a URL, be it a part of a value.
var credentials = regexp.MustCompile(`://[^/?#\s,;]*@`)

// shown is a value as it may be shown.
func shown(name, value string) string {
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
	return cut(credentials.ReplaceAllString(value, "://"+hidden+"@"))
}

// cut shortens what would fill the page.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
