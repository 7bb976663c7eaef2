// SPDX-License-Identifier: Apache-2.0

// Package sane looks at what others wrote before the framework has it. Whoever can
// write to etcd can write anything, and the framework trusts it: it panics in a
// call over a load balancer that the process does not have, divides hashes among no
// nodes, connects to port 80 where there is none, and writes into its log what it
// was given.
package sane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
)

const (
	// MaxURL is how many bytes a URL may have. That of a provider of 500 methods
	// has 20,000 or so.
	MaxURL = 64 << 10
	// maxPath is how many bytes a path may have, and a host.
	maxPath = 512
)

// Provider returns why a URL is not that of a provider that this process could
// call; nil: it may be.
func Provider(u *common.URL) error {
	switch {
	case !hasProtocol(u.Protocol):
		return fmt.Errorf("this process has no protocol %s (is its package imported?)", Quote(u.Protocol))
	case !IsPort(u.Port):
		return fmt.Errorf("%s is no port", Quote(u.Port))
	case !IsHost(u.Ip):
		return fmt.Errorf("%s is no host", Quote(u.Ip))
	case !isPath(strings.TrimPrefix(u.Path, "/")):
		return fmt.Errorf("%s is no path of a service", Quote(u.Path))
	}
	return nil
}

// notCalled are protocols of the framework by which nobody is called.
var notCalled = []string{constant.RegistryProtocol, constant.RegistryKey, "filter", "mock", constant.EmptyProtocol}

// hasProtocol reports whether this process can call by a protocol. One that has none
// at all calls nobody, it only looks: to it all are the same.
func hasProtocol(protocol string) bool {
	if _, found := protocols.Load(protocol); found {
		return true
	}
	names := extension.GetAllProtocolNames()
	if slices.Contains(names, protocol) {
		called := !slices.Contains(notCalled, protocol)
		if called {
			protocols.Store(protocol, struct{}{})
		}
		return called
	}
	callsNobody := !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(notCalled, name) })
	return callsNobody && protocol != constant.EmptyProtocol
}

// protocols are those that this process was found to have, which it keeps: each
// provider that is read asks for one.
var protocols sync.Map

// IsPort reports whether a port can be connected to.
func IsPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16) // which takes no sign
	return err == nil && n > 0
}

// IsHost reports whether a host can be connected to from elsewhere: a name, or an
// address that is not that of every interface.
func IsHost(host string) bool {
	if host == "" || len(host) > maxPath {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap() // ::ffff:0.0.0.0 is every interface, too
		return !a.IsUnspecified() && !a.IsMulticast() && isName(a.Zone(), true)
	}
	return isName(host, false)
}

func isName(s string, empty bool) bool {
	if s == "" {
		return empty
	}
	for _, r := range s {
		if r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return true
}

// isPath reports whether a path may be that of a service.
func isPath(path string) bool {
	return path != "" && len(path) <= maxPath && IsPlain(path) && !strings.ContainsFunc(path, unicode.IsSpace) &&
		(!strings.Contains(path, "..") || !slices.Contains(strings.Split(path, "/"), ".."))
}

// IsPlain reports whether a text is one line of UTF-8, and can be shown in a log
// as it is.
func IsPlain(s string) bool {
	ascii := 0
	for ascii < len(s) && ' ' <= s[ascii] && s[ascii] <= '~' {
		ascii++
	}
	s = s[ascii:] // most have nothing else
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || unicode.Is(unicode.Cf, r)
}

// ErrTooLarge is a URL of more than MaxURL bytes.
var ErrTooLarge = errors.New("it has more than " + strconv.Itoa(MaxURL) + " bytes")
