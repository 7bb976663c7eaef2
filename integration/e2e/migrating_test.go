// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Which registry a process has.
const (
	thisRegistry  = false
	thatOfDubboGo = true
)

// builtInSession is how long the keys of the built-in registry outlive a process.
const builtInSession = 30 * time.Second

// unhurried has etcd grant no lease of less than one and a half election timeouts. The
// built-in registry asks for one of a second, and gives etcd up for good when it comes
// late to renew it: on a machine that is as busy as those of tests, at any time.
var unhurried = etcdtest.WithFlags("--heartbeat-interval=1000", "--election-timeout=10000")

// migration is that of an application which moves between dubbo-go's built-in registry
// and this one, process by process, on one etcd.
type migration struct {
	t         *testing.T
	etcd      *etcdtest.Server
	level     registryType
	remote    bool // the metadata-type
	providers []*process
	wrote     any // what the first provider has in etcd that all have
}

// start starts two providers with the built-in registry.
func (m *migration) start(t *testing.T) {
	m.t, m.etcd = t, etcdtest.Start(t, unhurried)
	for _, name := range []string{"a", "b"} {
		s := provider(t, m.etcd, name, long)
		s.Application = "greeter"
		p := start(t, m.with(s, thatOfDubboGo))
		m.providers = append(m.providers, p)
		m.requireWritten(p)
	}
}

func (m *migration) with(s spec, registry bool) spec {
	s = at(s, typed(m.etcd, m.level))
	s.BuiltIn, s.RemoteMetadata = registry, m.remote
	return s
}

// consumer starts one, which calls all providers when it returns, and of which no call
// fails from then on. With this registry none fails at all.
func (m *migration) consumer(registry bool) *process {
	m.t.Helper()
	s := m.with(consumer(m.etcd, long), registry)
	s.Callers = 4
	c := start(m.t, s)
	awaitReady(m.t, c)
	awaitView(m.t, c, onlyGreet(m.providers...))
	if registry == thatOfDubboGo {
		m.t.Logf("built-in consumer: %d calls failed before it knew all providers", c.calls(greet).Failed)
		c.reset()
	}
	return c
}

// moveConsumer replaces a consumer by one with the other registry, or a restart of it,
// while others call.
func (m *migration) moveConsumer(old *process, registry bool, others ...*process) *process {
	m.t.Helper()
	c := m.consumer(registry)
	for _, calling := range append(others, old) {
		awaitView(m.t, calling, onlyGreet(m.providers...))
		requireNoFailure(m.t, calling)
	}
	old.terminate()
	old.awaitEnd()
	return c
}

// moveProvider stops a provider and starts it with the other registry, at the same address.
// Consumers call all providers before it returns, and no call of theirs fails.
func (m *migration) moveProvider(i int, registry bool, consumers ...*process) {
	m.t.Helper()
	old := m.providers[i]
	stopped := time.Now()
	old.terminate()
	old.awaitEnd()
	left := m.requireLeft(old, stopped)
	m.providers[i] = start(m.t, m.with(old.spec, registry))
	m.requireWritten(m.providers[i])
	called := func() {
		for _, c := range consumers {
			awaitView(m.t, c, onlyGreet(m.providers...))
			requireNoFailure(m.t, c)
		}
	}
	called()
	if left != "" { // as its lease would
		testkit.Delete(m.t, m.etcd.Client(), left)
		called()
	}
}

// requireLeft looks at what a provider that has stopped leaves in etcd: nothing with this
// registry; its key, until its lease has run out, with the built-in one at interface level.
func (m *migration) requireLeft(p *process, stopped time.Time) (key string) {
	m.t.Helper()
	if m.level == byApplication {
		require.NotContains(m.t, instances(m.t, m.etcd, p.application()), instanceKey(p))
		return ""
	}
	found, ok := m.keyOf(p)
	if p.BuiltIn {
		require.True(m.t, ok || time.Since(stopped) > builtInSession-5*time.Second, "the built-in registry unregisters: docs/migration.md is to say so")
	} else {
		require.False(m.t, ok, "%s has stopped and is registered", p.Name)
	}
	return found.name
}

// keyOf returns the key of a provider at interface level. Its process tells it from that
// of one that was at the same address.
func (m *migration) keyOf(p *process) (key, bool) {
	m.t.Helper()
	all := keys(m.t, m.etcd, providersOf(greet))
	i := slices.IndexFunc(all, func(k key) bool { return k.param("pid") == strconv.Itoa(p.cmd.Process.Pid) })
	if i < 0 {
		return key{}, false
	}
	return all[i], true
}

// requireWritten waits until a provider is registered, and compares what it has in etcd
// with what all have, and with what its registry makes different.
func (m *migration) requireWritten(p *process) {
	m.t.Helper()
	var same any
	var key string
	if m.level == byApplication {
		awaitInstance(m.t, m.etcd, p)
		key = instanceKey(p)
		same = m.requireInstance(p)
	} else {
		eventually(m.t, func() string { return p.Name + " is not registered" }, func() bool {
			k, ok := m.keyOf(p)
			key = k.name
			return ok
		})
		same = m.requireProvider(p)
	}
	if m.wrote == nil {
		m.wrote = same
	}
	assert.Equal(m.t, m.wrote, same, "built in: %v", p.BuiltIn)

	lease := clientv3.LeaseID(testkit.Get(m.t, m.etcd.Client(), key).Kvs[0].Lease)
	granted, err := m.etcd.Client().TimeToLive(m.t.Context(), lease, clientv3.WithAttachedKeys())
	require.NoError(m.t, err)
	want := long
	if p.BuiltIn {
		want = builtInSession // whatever session says
	}
	assert.EqualValues(m.t, want.Seconds(), granted.GrantedTTL)
	assert.Equal(m.t, [][]byte{[]byte(key)}, granted.Keys)
}

// requireProvider looks at a provider's key and value at interface level. It returns what
// the URL says, but for what is of the process.
func (m *migration) requireProvider(p *process) map[string][]string {
	m.t.Helper()
	k, _ := m.keyOf(p)
	assert.Equal(m.t, p.Address, k.url.Host)
	values := testkit.Values(m.t, m.etcd.Client(), "/dubbo")
	if p.BuiltIn {
		assert.Empty(m.t, values[k.name])
		assert.Contains(m.t, values, "/dubbo/"+greet.Interface+"/providers", "a key for each part of the path")
	} else {
		assert.Equal(m.t, fmt.Sprint(int64(k.lease)), values[k.name])
	}
	assert.Contains(m.t, values, "/dubbo/"+greet.Interface)
	params := maps.Clone(map[string][]string(k.url.Query()))
	delete(params, "pid")
	delete(params, "timestamp")
	return params
}

// requireInstance looks at an instance, its mapping and its metadata. It returns what the
// instance says of itself, but for what is of the process.
func (m *migration) requireInstance(p *process) []string {
	m.t.Helper()
	values := testkit.Values(m.t, m.etcd.Client(), "/")
	assert.Equal(m.t, p.application(), values["/dubbo/mapping/"+greet.Interface])

	var fields map[string]any
	require.NoError(m.t, json.Unmarshal([]byte(values[instanceKey(p)]), &fields))
	host, port, metadata := "host", "port", "metadata"
	if p.BuiltIn {
		host, port, metadata = "Host", "Port", "Metadata" // which Java does not read
		assert.Contains(m.t, fields, "ServiceMetadata")
	} else {
		assert.Equal(m.t, []string{"enable", "enabled", "healthy", "host", "id", "metadata", "port", "serviceName"}, slices.Sorted(maps.Keys(fields)))
	}
	require.Contains(m.t, fields, metadata)
	assert.Equal(m.t, p.Address, fmt.Sprintf("%v:%v", fields[host], fields[port]))
	said := fields[metadata].(map[string]any)

	revision := fmt.Sprint(said["dubbo.metadata.revision"])
	published, ok := values["/dubbo/"+p.application()+"/"+revision]
	assert.Equal(m.t, m.remote, ok, "metadata of revision %s in %v", revision, slices.Sorted(maps.Keys(values)))
	if ok {
		var report struct {
			App, Revision string
			Services      map[string]any
		}
		require.NoError(m.t, json.Unmarshal([]byte(published), &report))
		assert.Equal(m.t, p.application(), report.App)
		assert.Equal(m.t, revision, report.Revision)
		assert.Contains(m.t, report.Services, greet.Interface+":tri")
	}
	return slices.Sorted(maps.Keys(said))
}
