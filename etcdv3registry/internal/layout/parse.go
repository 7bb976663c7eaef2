// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"errors"
	"fmt"
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

// Text is a URL as its key has it, taken apart as far as costs little: of a service
// with many groups and versions a reference asks for one, and to make URLs of the
// others costs several times as much.
type Text struct {
	encoded string
	address string // all before the parameters
	query   string
}

// Decode reads the last segment of a key, written by whichever client.
func Decode(encoded string) (t Text, err error) {
	if strings.Contains(encoded, "/") {
		return t, errors.New("the URL in it is not percent-encoded")
	}
	raw, err := url.QueryUnescape(encoded)
	if err != nil {
		return t, err
	}
	t.encoded = encoded
	t.address, t.query, _ = strings.Cut(raw, "?")
	if !strings.Contains(t.address, "://") {
		return t, errors.New("there is no protocol:// in it")
	}
	if strings.Count(t.query, "&") >= maxParams {
		return t, fmt.Errorf("it has more than %d parameters", maxParams)
	}
	return t, nil
}

// maxParams is how many parameters a URL may have, as in net/url: each takes much more
// memory than its text. A provider has some for each of its methods.
const maxParams = 10_000

// Protocol returns the protocol as it is written: in capitals or not.
func (t Text) Protocol() string {
	protocol, _, _ := strings.Cut(t.address, "://")
	return protocol
}

// Param returns the parameter with a name; empty if there is none.
func (t Text) Param(name string) string {
	for param := range strings.SplitSeq(t.query, "&") {
		if value, ok := strings.CutPrefix(param, name); ok && (value == "" || value[0] == '=') {
			return strings.TrimPrefix(value, "=")
		}
	}
	return ""
}

// params takes the parameters apart. Their writer, Java's or ours, encoded them once,
// with the whole URL: they are not decoded again, as common.NewURL would.
func (t Text) params() url.Values {
	n := strings.Count(t.query, "&") + 1
	params, values := make(url.Values, n), make([]string, 0, n)
	for param := range strings.SplitSeq(t.query, "&") {
		if param == "" {
			continue
		}
		name, value, _ := strings.Cut(param, "=")
		if others, ok := params[name]; ok {
			params[name] = append(others, value)
			continue
		}
		values = append(values, value)
		params[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return params
}

// URL makes a URL of it. It has the category of its key, if it names none itself.
func (t Text) URL(category string) (*common.URL, error) {
	address, ipv6 := cutIPv6(t.address) // in brackets, with the port if there is one
	params := t.params()
	// The framework keeps the timestamp that a URL was made with, too.
	made := address + "?" + constant.TimestampKey + "=" + url.QueryEscape(params.Get(constant.TimestampKey))
	if strings.ContainsFunc(made, isSpecial) {
		made = url.QueryEscape(made)
	}
	u, err := common.NewURL(made)
	if err != nil { // which would show all of it, with the credentials if there are some
		return nil, errors.New("what it encodes is not a URL")
	}
	if u.Protocol == "" {
		return nil, errors.New("the protocol in it is empty")
	}
	u.PrimitiveURL = t.encoded
	u.ReplaceParams(params)
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

// isSpecial tells what common.NewURL reads as something else if it is not encoded.
func isSpecial(r rune) bool { return r <= ' ' || r > '~' || r == '%' || r == '+' || r == ',' }

// Parse is Decode and URL.
func Parse(category, encoded string) (*common.URL, error) {
	t, err := Decode(encoded)
	if err != nil {
		return nil, err
	}
	return t.URL(category)
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

// IsIPv6 reports whether it is an IPv6 address, without brackets. Its zone is that
// of an interface: to netip it may be anything.
func IsIPv6(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6() && !strings.ContainsFunc(ip.Zone(), func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
