// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

const (
	// patience is how long a test waits for what has to happen, on a machine that
	// is busy with something else.
	patience = 30 * time.Second
	// group is what the framework calls the group of all mappings.
	group   = "mapping"
	greeter = "org.e2e.Greeter"
)

// newReport asks the framework for the report at an address; params are pairs
// of a name and a value.
func newReport(t testing.TB, address string, params ...string) report.MetadataReport {
	t.Helper()
	r := reportOf(t, address, params...)
	t.Cleanup(func() { assert.NoError(t, r.(io.Closer).Close()) })
	return r
}

// reportOf makes the URL as metadata.ReportOptions does.
func reportOf(t testing.TB, address string, params ...string) report.MetadataReport {
	t.Helper()
	u, err := common.NewURL(address, common.WithLocation(address), common.WithProtocol("etcdv3"),
		common.WithParamsValue(constant.TimeoutKey, ""), common.WithParamsValue(constant.MetadataReportGroupKey, ""),
		common.WithParamsValue(constant.MetadataReportNamespaceKey, ""))
	require.NoError(t, err)
	for i := 0; i < len(params); i += 2 {
		u.SetParam(params[i], params[i+1])
	}
	u.Username, u.Password = u.GetParam("test.username", ""), u.GetParam("test.password", "")
	return extension.GetMetadataReportFactory("etcdv3").CreateMetadataReport(u)
}

// noCache is for tests to which a file that another one left makes a difference.
func noCache(params ...string) []string { return append(params, "file-cache", "false") }

func names(set *gxset.HashSet) string {
	if set == nil {
		return "nil"
	}
	var all []string
	for _, name := range set.Values() {
		all = append(all, name.(string))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// requireMapping asks for the mapping without a listener.
func requireMapping(t testing.TB, r report.MetadataReport, interfaceName, want string) {
	t.Helper()
	set, err := r.GetServiceAppMapping(interfaceName, group, nil)
	require.NoError(t, err)
	require.Equal(t, want, names(set))
}

// listener keeps what it has been told.
type listener struct {
	mu      sync.Mutex
	told    []string
	inside  int
	faults  []string
	onEvent func()
}

func (l *listener) OnEvent(e observer.Event) error {
	l.mu.Lock()
	if l.inside++; l.inside > 1 {
		l.faults = append(l.faults, "called by two goroutines at once")
	}
	event := e.(*registry.ServiceMappingChangeEvent)
	now := names(event.GetServiceNames())
	l.told = append(l.told, now)
	event.GetServiceNames().Add("the listener's own")
	l.mu.Unlock()
	if l.onEvent != nil {
		l.onEvent()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
	return nil
}

func (l *listener) Stop() {}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

func (l *listener) last() string {
	if all := l.all(); len(all) > 0 {
		return all[len(all)-1]
	}
	return "(nothing)"
}

// requireLast waits until the listener has been told these names last.
func (l *listener) requireLast(t testing.TB, want string) {
	t.Helper()
	require.True(t, eventually(func() bool { return l.last() == want }), "the listener was told %q, want %q last", l.all(), want)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.faults)
}

// listen registers a listener and returns what was returned to it.
func listen(t testing.TB, r report.MetadataReport, interfaceName string, l *listener) string {
	t.Helper()
	set, err := r.GetServiceAppMapping(interfaceName, group, l)
	require.NoError(t, err)
	return names(set)
}

func eventually(cond func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// valueOf returns what a key holds; ok is false if it does not exist.
func valueOf(t testing.TB, etcd *etcdtest.Server, key string) (value string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := etcd.Client().Get(ctx, key)
	require.NoError(t, err)
	if len(response.Kvs) == 0 {
		return "", false
	}
	return string(response.Kvs[0].Value), true
}

func requireValue(t testing.TB, etcd *etcdtest.Server, key, want string) {
	t.Helper()
	var value string
	ok := eventually(func() bool {
		value, _ = valueOf(t, etcd, key)
		return value == want
	})
	require.True(t, ok, "%s holds %q, want %q", key, value, want)
}

func put(t testing.TB, etcd *etcdtest.Server, key, value string) {
	t.Helper()
	_, err := etcd.Client().Put(t.Context(), key, value)
	require.NoError(t, err)
}

func closeReport(t testing.TB, r report.MetadataReport) {
	t.Helper()
	require.NoError(t, r.(io.Closer).Close())
}
