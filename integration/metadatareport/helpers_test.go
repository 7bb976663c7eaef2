// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"io"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	// group is what the framework calls the group of all mappings.
	group   = "mapping"
	greeter = "org.e2e.Greeter"
)

// newReport asks the framework for the report at an address; params are pairs
// of a name and a value.
func newReport(t testing.TB, address string, params ...string) report.MetadataReport {
	t.Helper()
	return testkit.NewReport(t, address, params...)
}

// noCache is for tests to which a file that another one left makes a difference.
func noCache(params ...string) []string { return append(params, "file-cache", "false") }

func names(set *gxset.HashSet) string {
	if set == nil {
		return "nil"
	}
	return strings.Join(testkit.Strings(set), " ")
}

// requireMapping asks for the mapping without a listener.
func requireMapping(t testing.TB, r report.MetadataReport, interfaceName, want string) {
	t.Helper()
	set, err := r.GetServiceAppMapping(interfaceName, group, nil)
	require.NoError(t, err)
	require.Equal(t, want, names(set))
}

// listener keeps what it has been told.
type listener struct{ testkit.Told }

func (l *listener) OnEvent(e observer.Event) error {
	told := e.(*registry.ServiceMappingChangeEvent).GetServiceNames()
	now := names(told)
	told.Add("the listener's own")
	l.Tell(now)
	return nil
}

func (l *listener) Stop() {}

// listen registers a listener and returns what was returned to it.
func listen(t testing.TB, r report.MetadataReport, interfaceName string, l *listener) string {
	t.Helper()
	set, err := r.GetServiceAppMapping(interfaceName, group, l)
	require.NoError(t, err)
	return names(set)
}

func requireValue(t testing.TB, etcd *etcdtest.Server, key, want string) {
	t.Helper()
	var value string
	ok := testkit.Eventually(func() bool {
		value, _ = testkit.Value(t, etcd.Client(), key)
		return value == want
	})
	require.True(t, ok, "%s holds %q, want %q", key, value, want)
}

// requireThere waits until a key exists.
func requireThere(t testing.TB, etcd *etcdtest.Server, key string) {
	t.Helper()
	ok := testkit.Eventually(func() bool { _, ok := testkit.Value(t, etcd.Client(), key); return ok })
	require.True(t, ok, "there is no %s", key)
}

func closeReport(t testing.TB, r report.MetadataReport) {
	t.Helper()
	require.NoError(t, r.(io.Closer).Close())
}
