// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// patience is how long a test waits for what has to happen, on a machine
	// that is busy with something else.
	patience = 45 * time.Second
	// ttl of the leases: short, so that outages outlast it.
	ttl = 2 * time.Second

	root = "/dubbo/"
)

// newRegistry asks the framework for the registry at an address, which is
// destroyed when the test ends. params are pairs of a name and a value.
func newRegistry(t testing.TB, address string, params ...string) registry.Registry {
	t.Helper()
	r, err := openRegistry(address, params...)
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	return r
}

func openRegistry(address string, params ...string) (registry.Registry, error) {
	values := url.Values{
		"session":          {ttl.String()},
		"registry.timeout": {"1s"},
		"retry.interval":   {"200ms"},
		"file-cache":       {"false"}, // what a consumer knows is to come from etcd
	}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	u, err := common.NewURL("etcdv3://"+address, common.WithParams(values), common.WithLocation(address))
	if err != nil {
		return nil, err
	}
	return extension.GetRegistry("etcdv3", u)
}

// provider is a URL as the framework registers it.
func provider(service, hostPort string, params ...string) *common.URL {
	return serviceURL(service, hostPort, append([]string{
		constant.RegistryRoleKey, "3", constant.SideKey, "provider", constant.TimestampKey, "1",
	}, params...))
}

// consumer is a URL as the framework registers and subscribes it.
func consumer(service string, params ...string) *common.URL {
	return serviceURL(service, "", append([]string{
		constant.RegistryRoleKey, "0", constant.SideKey, "consumer", constant.TimestampKey, "1",
	}, params...))
}

func serviceURL(service, hostPort string, params []string) *common.URL {
	ip, port, _ := strings.Cut(hostPort, ":")
	values := url.Values{constant.InterfaceKey: {service}}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	return common.NewURLWithOptions(common.WithProtocol("tri"), common.WithIp(ip), common.WithPort(port),
		common.WithPath(service), common.WithMethods([]string{"Greet"}), common.WithParams(values))
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
	f := fmt.Sprintf("tri://%s/%s?interface=%s&timestamp=1", hostPort, service, service)
	for i := 0; i < len(params); i += 2 {
		f += "&" + params[i] + "=" + params[i+1]
	}
	return root + service + "/providers/" + url.QueryEscape(f)
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// list returns all keys under a prefix, and fails the test if etcd does not
// answer.
func list(t testing.TB, client *clientv3.Client, prefix string) *clientv3.GetResponse {
	t.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	response, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	require.NoError(t, err)
	return response
}

// eventually waits until a condition holds; it returns how long that took.
func eventually(limit time.Duration, cond func() bool) (time.Duration, bool) {
	begin := time.Now()
	for time.Since(begin) < limit {
		if cond() {
			return time.Since(begin), true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin), cond()
}
