// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/url"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// mayMatch is what can be said of a provider before its URL is parsed, which costs
// twenty times as much: false if matches would say so. Of a service with many groups
// and versions a reference asks for one.
func (q query) mayMatch(encoded string) bool {
	protocol, rest, ok := strings.Cut(encoded, "%3A%2F%2F")
	if !ok || !isSimple(encoded) {
		return true // it is for the parser
	}
	if len(q.protocols) > 0 && !slices.ContainsFunc(q.protocols, func(p string) bool { return strings.EqualFold(p, protocol) }) {
		return false
	}
	_, params, _ := strings.Cut(rest, "%3F")
	classifier := paramIn(params, constant.ClassifierKey)
	if classifier == "" {
		classifier = constant.AnyValue
	}
	return q.matchesGroup(paramIn(params, constant.GroupKey)) &&
		matchesOne(q.version, paramIn(params, constant.VersionKey)) && matchesOne(q.classifier, classifier)
}

func (q query) matchesGroup(group string) bool {
	return slices.Contains(q.group, constant.AnyValue) || slices.Contains(q.group, group)
}

func matchesOne(wanted, value string) bool { return wanted == constant.AnyValue || wanted == value }

// simple are the characters of a URL that its writer encodes, and that nobody reads
// as something else: : / ? & = and some that only stand for themselves.
var simple = []string{"3A", "2F", "3F", "26", "3D", "2C", "2A", "24", "28", "29"}

// isSimple reports whether a URL that is encoded is nothing but letters, digits and
// simple.
func isSimple(encoded string) bool {
	for i := 0; i < len(encoded); i++ {
		switch c := encoded[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == '*':
		case c == '%' && i+2 < len(encoded) && slices.Contains(simple, encoded[i+1:i+3]):
			i += 2
		default:
			return false
		}
	}
	return true
}

// paramIn returns a parameter of a simple URL; empty: it has none.
func paramIn(params, name string) string {
	for param := range strings.SplitSeq(params, "%26") {
		if of, value, _ := strings.Cut(param, "%3D"); of == name {
			value, _ = url.QueryUnescape(value)
			return value
		}
	}
	return ""
}
