// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// eventsOf is what a page that opens now is told, at once.
func eventsOf(t *testing.T, c *console) (m message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"events", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			require.NoError(t, json.Unmarshal([]byte(data), &m))
			return m
		}
	}
}

// shownIn are the revisions of all instances, metadata and rules of a message, by the ID
// of their keys, and the addresses of all providers.
func shownIn(m message) (revisions map[uint64]int64, providers []string) {
	revisions = map[uint64]int64{}
	note := func(rows []row) {
		for _, r := range rows {
			revisions[r.ID] = r.Changed
		}
	}
	for _, a := range m.Applications {
		note(a.Instances)
		note(a.Revisions)
	}
	if m.Rules != nil {
		note(*m.Rules)
	}
	for _, s := range m.Changed {
		providers = append(providers, addresses(s.Providers)...)
	}
	return revisions, providers
}

// shop is one instance of an application at both levels, in the namespace tenant.
type shop struct {
	etcd *etcdtest.Server
	host string
}

func (s shop) put(t *testing.T) {
	t.Helper()
	put := func(key, value string, opts ...clientv3.OpOption) {
		testkit.Put(t, s.etcd.Client(), key, value, opts...)
	}
	put("/tenant/services/shop/"+s.host+":20000", fmt.Sprintf(
		`{"serviceName":"shop","host":%q,"port":20000,"metadata":{"dubbo.metadata.revision":"r1","dubbo.metadata.storage-type":"remote"}}`, s.host))
	put("/tenant/dubbo/shop/r1", `{"app":"shop","revision":"r1","services":{}}`)
	put("/tenant/config/dubbo/shop.tag-router", "tags: []")
	put("/tenant/dubbo/"+greeter+"/providers/"+url.QueryEscape(provider(s.host+":20000", "&category=providers&application=shop")), "")
}

// requireShown waits until a page is told of what is in etcd, and of nothing else.
func requireShown(t *testing.T, c *console, etcd *etcdtest.Server, providers ...string) {
	t.Helper()
	want := map[uint64]int64{}
	for _, prefix := range []string{"/tenant/services/", "/tenant/dubbo/shop/", "/tenant/config/"} {
		for key, revision := range testkit.Revisions(t, etcd.Client(), prefix) {
			want[idOf(key)] = revision
		}
	}
	var got map[uint64]int64
	var seen []string
	// What the interface level lacks is left for the TTL of a lease: its owner may put it again.
	testkit.Await(t, 3*patience, func() bool {
		got, seen = shownIn(eventsOf(t, c))
		return maps.Equal(got, want) && strings.Join(seen, " ") == strings.Join(providers, " ")
	}, "a page is told of another store than etcd is: %v and %v, want %v and %v", &got, &seen, want, providers)
}

// Providers go, etcd is emptied, and others come: or whatever else makes another store
// of it. Nobody loads the page again, or starts the console.
func TestAnEtcdThatIsAnotherStoreIsShownAsItIs(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, etcd *etcdtest.Server, proxy *etcdtest.Proxy) (providers []string){
		"Emptied": func(t *testing.T, etcd *etcdtest.Server, _ *etcdtest.Proxy) []string {
			etcd.Wipe()
			shop{etcd, "10.0.0.2"}.put(t)
			return []string{"10.0.0.2:20000"}
		},
		"EmptiedAndLeftEmpty": func(_ *testing.T, etcd *etcdtest.Server, _ *etcdtest.Proxy) []string {
			etcd.Wipe()
			return nil
		},
		"EmptiedAndBeyondTheRevisionBefore": func(t *testing.T, etcd *etcdtest.Server, proxy *etcdtest.Proxy) []string {
			proxy.Cut()
			etcd.Wipe()
			shop{etcd, "10.0.0.2"}.put(t)
			grow(t, etcd, 200)
			proxy.Restore()
			return []string{"10.0.0.2:20000"}
		},
		"EmptiedWithTheSameKeys": func(t *testing.T, etcd *etcdtest.Server, proxy *etcdtest.Proxy) []string {
			proxy.Cut()
			etcd.Wipe()
			grow(t, etcd, 3)
			shop{etcd, "10.0.0.1"}.put(t)
			proxy.Restore()
			return []string{"10.0.0.1:20000"}
		},
		"RestoredFromABackup": func(t *testing.T, etcd *etcdtest.Server, _ *etcdtest.Proxy) []string {
			etcd.Restore()
			return []string{"10.0.0.9:20000"}
		},
		"RestoredAndBeyondTheRevisionBefore": func(t *testing.T, etcd *etcdtest.Server, proxy *etcdtest.Proxy) []string {
			proxy.Cut()
			etcd.Restore()
			grow(t, etcd, 200)
			proxy.Restore()
			return []string{"10.0.0.9:20000"}
		},
		"AwayForLongAndCompacted": func(t *testing.T, etcd *etcdtest.Server, proxy *etcdtest.Proxy) []string {
			proxy.Cut()
			testkit.DeleteAll(t, etcd.Client(), "/tenant/")
			shop{etcd, "10.0.0.2"}.put(t)
			grow(t, etcd, 50)
			etcd.Compact(testkit.Revision(t, etcd.Client()))
			proxy.Restore()
			return []string{"10.0.0.2:20000"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			shop{etcd, "10.0.0.9"}.put(t)
			etcd.Backup()
			testkit.DeleteAll(t, etcd.Client(), "/tenant/")
			grow(t, etcd, 50)
			shop{etcd, "10.0.0.1"}.put(t)
			proxy := etcdtest.NewProxy(t, etcd.Endpoint())
			of := configOf(proxy.Addr())
			of.Namespace = "tenant"
			console, err := start(of)
			require.NoError(t, err)
			t.Cleanup(console.close)
			requireShown(t, console, etcd, "10.0.0.1:20000")

			requireShown(t, console, etcd, change(t, etcd, proxy)...)
			shop{etcd, "10.0.0.3"}.put(t) // and it goes on following
			testkit.Await(t, patience, func() bool {
				_, providers := shownIn(eventsOf(t, console))
				return strings.Contains(strings.Join(providers, " "), "10.0.0.3:20000")
			}, "what comes after that is not shown")
		})
	}
}

// grow raises the revision of etcd, and changes nothing of what is shown.
func grow(t *testing.T, etcd *etcdtest.Server, by int) {
	t.Helper()
	for range by {
		testkit.Put(t, etcd.Client(), "/elsewhere", "")
	}
}
