// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// ttl of the leases: short, so that outages outlast it.
	ttl = 2 * time.Second

	root = "/dubbo/"
)

// newRegistry asks the framework for the registry at an address, which is
// destroyed when the test ends. params are pairs of a name and a value.
func newRegistry(t testing.TB, address string, params ...string) registry.Registry {
	t.Helper()
	return testkit.NewRegistry(t, address, slices.Concat(settings, params)...)
}

// settings of the registries.
var settings = []string{
	"session", ttl.String(),
	"registry.timeout", "1s",
	"retry.interval", "200ms",
	"file-cache", "false", // what a consumer knows is to come from etcd
}

// A fact is a provider as a key in etcd, or an event, tells of it.
type fact struct {
	service, address, timestamp string // what a consumer tells providers apart by
	weight, dynamic, process    string
}

// id is what stays the same when a provider is registered again with other
// parameters.
func (f fact) id() string { return f.service + " " + f.address + " @" + f.timestamp }

// version is the provider with its parameters: one key.
func (f fact) version() string { return f.id() + " weight=" + f.weight + " dynamic=" + f.dynamic }

func factOf(u *common.URL) fact {
	return fact{
		service: u.Service(), address: u.Address(), timestamp: u.GetParam(constant.TimestampKey, ""),
		weight: u.GetParam("weight", ""), dynamic: u.GetParam("dynamic", ""), process: u.GetParam("process", ""),
	}
}

// parseKey reads a key of the category; ok is false for any other.
func parseKey(key, category string) (f fact, ok bool) {
	rest, ok := strings.CutPrefix(key, root)
	if !ok {
		return fact{}, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[1] != category {
		return fact{}, false
	}
	raw, err := url.QueryUnescape(parts[2])
	if err != nil {
		return fact{}, false
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return fact{}, false
	}
	q := u.Query()
	return fact{
		service: parts[0], address: u.Host, timestamp: q.Get(constant.TimestampKey),
		weight: q.Get("weight"), dynamic: q.Get("dynamic"), process: q.Get("process"),
	}, true
}

// providerKey is the key of a provider of another program.
func providerKey(service, hostPort string, params ...string) string {
	f := fmt.Sprintf("tri://%s/%s?interface=%s&timestamp=%s", hostPort, service, service, testkit.Timestamp)
	for i := 0; i < len(params); i += 2 {
		f += "&" + params[i] + "=" + params[i+1]
	}
	return root + service + "/providers/" + url.QueryEscape(f)
}
