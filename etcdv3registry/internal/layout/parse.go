// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// Split takes a key apart: the segments behind the root. ok is false for
// what is not an entry of a category: the interface keys, and what else may
// share the root (configuration, mappings).
func Split(root, key string) (category, encoded string, ok bool) {
	rest, ok := strings.CutPrefix(key, root+"/")
	if !ok {
		return "", "", false
	}
	_, rest, ok = strings.Cut(rest, "/")
	if !ok {
		return "", "", false
	}
	category, encoded, ok = strings.Cut(rest, "/")
	return category, encoded, ok && slices.Contains(Categories, category)
}

// notForNewURL is what common.NewURL reads in a query as something else, or
// does not read at all.
const notForNewURL = "%+;#\x7f" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

// Parse reads the last segment of a key, written by whichever client. The
// URL has the category of its key, if it names none itself.
func Parse(category, encoded string) (*common.URL, error) {
	if strings.Contains(encoded, "/") {
		return nil, errors.New("the URL in it is not percent-encoded")
	}
	raw, err := url.QueryUnescape(encoded)
	if err != nil {
		return nil, err
	}
	address, query, _ := strings.Cut(raw, "?")
	if !strings.Contains(address, "://") {
		return nil, errors.New("there is no protocol:// in it")
	}
	ipv6 := "" // in brackets, with the port if there is one
	if address, ipv6 = cutIPv6(address); ipv6 != "" || strings.ContainsAny(query, notForNewURL) {
		// common.NewURL decodes the parameters a second time; the writer, Java's
		// or ours, encoded them once.
		encoded = url.QueryEscape(address + "?" + encodeParams(query))
	}
	u, err := common.NewURL(encoded)
	if err != nil { // which would show all of it, with the credentials if there are some
		return nil, errors.New("what it encodes is not a URL")
	}
	if u.Protocol == "" {
		return nil, errors.New("the protocol in it is empty")
	}
	if ipv6 != "" {
		u.Location = ipv6
		if u.Ip, u.Port, err = net.SplitHostPort(ipv6); err != nil { // there is no port
			u.Ip, u.Port = unbracket(ipv6), ""
		}
	}
	if u.Ip == "" && u.Port == "" { // NewURL leaves Ip so where there is no port
		u.Ip = u.Location
	}
	switch {
	case category == Providers && u.Ip == "":
		return nil, errors.New("the provider in it has no address")
	case category != Providers && u.GetParam(constant.CategoryKey, "") == "":
		u.SetParam(constant.CategoryKey, category)
	}
	if category == Configurators {
		asJavaReadsIt(u)
	}
	return u, nil
}

// asJavaReadsIt makes of a rule what the framework expects and Java's URL class
// returns: where there is no port, 0 (the framework takes another one for that
// of the providers it is meant for), and where no parameter names the interface,
// the path.
func asJavaReadsIt(rule *common.URL) {
	if rule.Port == "" {
		rule.Port = "0"
	}
	if rule.GetParam(constant.InterfaceKey, "") == "" {
		rule.SetParam(constant.InterfaceKey, rule.Service())
	}
}

// cutIPv6 takes an IPv6 host and its port out of an address: common.NewURL reads
// them only in brackets, with a port and without a zone. Java and BaseRegistry
// write no brackets; as Java does, it takes what follows the last colon for the
// port.
func cutIPv6(address string) (without, hostPort string) {
	scheme, rest, _ := strings.Cut(address, "://")
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	host, port := rest[start:end], ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		if _, err := strconv.ParseUint(host[colon+1:], 10, 16); err == nil && IsIPv6(unbracket(host[:colon])) {
			host, port = host[:colon], host[colon:]
		}
	}
	if host = unbracket(host); !IsIPv6(host) {
		return address, ""
	}
	return scheme + "://" + rest[:start] + rest[end:], "[" + host + "]" + port
}

func unbracket(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}

// encodeParams encodes the names and values of a query that was written
// without.
func encodeParams(query string) string {
	params := strings.Split(query, "&")
	for i, param := range params {
		name, value, _ := strings.Cut(param, "=")
		params[i] = url.QueryEscape(name) + "=" + url.QueryEscape(value)
	}
	return strings.Join(params, "&")
}

// IsIPv6 reports whether it is an IPv6 address, without brackets. Its zone is that
// of an interface: to netip it may be anything.
func IsIPv6(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6() && !strings.ContainsFunc(ip.Zone(), func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
