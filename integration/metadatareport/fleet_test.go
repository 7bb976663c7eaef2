// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// What dubbo-go's built-in report writes this one reads, and the other way
// round, so that a fleet may be moved one service after the other.
func TestTheBuiltInReportAndThisOneUnderstandEachOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	builtin := builtinReport(t, etcd)
	r := newReport(t, etcd.Endpoint())
	l := &listener{}
	require.Empty(t, listen(t, r, greeter, l))

	builtin("map", greeter, "built-in")
	l.RequireLast(t, "built-in")
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "ours"))
	builtin("map", greeter, "built-in-2")
	builtin("map", greeter, "ours")
	l.RequireLast(t, "built-in built-in-2 ours")
	assert.Equal(t, "built-in built-in-2 ours", builtin("mapping", greeter))

	builtin("publish", "built-in", "r1")
	meta, err := r.GetAppMetadata("built-in", "r1")
	require.NoError(t, err)
	assert.Equal(t, "built-in", meta.App)
	revisions, err := r.ListAppRevisions("built-in")
	require.NoError(t, err)
	assert.EqualValues(t, 7, revisions[0].ModifyTime)

	require.NoError(t, r.PublishAppMetadata("ours", "r2", metadataOf("ours", "r2", 3)))
	assert.Equal(t, "ours r2 1 service(s)", builtin("metadata", "ours", "r2"))
	assert.Equal(t, "[{r2 3}]", builtin("revisions", "ours"))
}

func builtinReport(t *testing.T, etcd *etcdtest.Server) func(args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "builtin")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/builtin").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return func(args ...string) string {
		t.Helper()
		output, err := exec.CommandContext(t.Context(), program, append([]string{etcd.Endpoint()}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", output)
		_, result, ok := strings.Cut(string(output), "result: ")
		require.True(t, ok, "%s", output)
		result, _, _ = strings.Cut(result, "\n")
		return result
	}
}
