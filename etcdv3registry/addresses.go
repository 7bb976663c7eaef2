// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

const (
	defaultPort     = "2379" // as in org.apache.dubbo.registry.etcd.EtcdRegistry
	acceptedAddress = "host, host:port or [IPv6]:port, with http://, https:// or etcdv3:// before it or nothing, several separated by commas or spaces"
)

// addresses is a registry's address list, taken apart.
type addresses struct {
	endpoints []string // host:port each, as configured, without duplicates
	scheme    string   // "http", "https", or empty where none was said
}

// errCredentials is returned for an address with user:password@ in it. dubbo-go
// makes names of an address before anybody else sees it, which it logs, with
// each call that fails as well. It quotes nothing of the address.
var errCredentials = errors.New("etcdv3 registry: the address has an @, as if it held credentials, which dubbo-go would log: configure username and password, or better username and password-file")

// parseAddresses reads the address field of a registry config and Java's
// backup= parameter, joined by a comma.
func parseAddresses(list string) (addresses, error) {
	var a addresses
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", ;\t\r\n", r) }) {
		if err := a.add(item); err != nil {
			return addresses{}, fmt.Errorf("etcdv3 registry: address %q cannot be used (%w): accepted is %s", item, err, acceptedAddress)
		}
	}
	if len(a.endpoints) == 0 {
		return addresses{}, fmt.Errorf("etcdv3 registry: no address is configured: accepted is %s", acceptedAddress)
	}
	return a, nil
}

// add reads one address. Its errors quote nothing of it.
func (a *addresses) add(item string) error {
	if scheme, rest, ok := strings.Cut(item, "://"); ok {
		if err := a.setScheme(scheme); err != nil {
			return err
		}
		item = rest
	}
	item = strings.TrimSuffix(item, "/")
	host, port, err := splitHostPort(item)
	if err != nil {
		return err
	}
	if endpoint := net.JoinHostPort(host, port); !slices.Contains(a.endpoints, endpoint) {
		a.endpoints = append(a.endpoints, endpoint)
	}
	return nil
}

func (a *addresses) setScheme(scheme string) error {
	switch scheme {
	case "http", "https":
		if a.scheme != "" && a.scheme != scheme {
			return errors.New("http:// and https:// are mixed")
		}
		a.scheme = scheme
	case Protocol, "etcd3", "etcd": // dubbo-go's and Java's names of this registry
	default:
		return errors.New("the scheme is unknown")
	}
	return nil
}

func splitHostPort(s string) (host, port string, err error) {
	switch {
	case layout.IsIPv6(s):
		return s, defaultPort, nil
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		host, port = s[1:len(s)-1], defaultPort
	case !strings.Contains(s, ":"):
		host, port = s, defaultPort
	default:
		if host, port, err = net.SplitHostPort(s); err != nil {
			var addrErr *net.AddrError
			if errors.As(err, &addrErr) {
				err = errors.New(addrErr.Err)
			}
			return "", "", err
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", errors.New("the port is not a number from 1 to 65535")
	}
	switch {
	case host == "":
		return "", "", errors.New("the host is empty")
	case strings.HasPrefix(s, "[") && !layout.IsIPv6(host):
		return "", "", errors.New("what is in brackets is not an IPv6 address")
	case strings.ContainsFunc(host, isNoHost) && !layout.IsIPv6(host):
		return "", "", errors.New("the host has a character that no host name has")
	}
	return host, port, nil
}

func isNoHost(r rune) bool {
	return strings.ContainsRune(`/?#[]\"'<>%{}|^`+"`", r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}
