// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// childEnv says which part of a test this process is to play; see
// process_test.go.
const childEnv = "CACHEFILE_TEST_CHILD"

func TestMain(m *testing.M) {
	logger.SetLogger(logs)
	if part := os.Getenv(childEnv); part != "" {
		os.Exit(children[part](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// logs has what was logged; tests run in parallel and find theirs by path.
var logs = &recorder{Logger: logger.GetLogger()}

type recorder struct {
	logger.Logger
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Warnf(format string, args ...any) { r.add("WARN "+format, args...) }
func (r *recorder) Infof(format string, args ...any) { r.add("INFO "+format, args...) }

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// about returns the lines of a level that name a path.
func (r *recorder) about(level, path string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, l := range r.lines {
		if strings.HasPrefix(l, level+" [etcdv3] ") && strings.Contains(l, " "+path+" ") {
			found = append(found, l)
		}
	}
	return found
}

// newPath is a place for a cache file in a directory that is not there yet.
func newPath(t testing.TB) string {
	return filepath.Join(t.TempDir(), ".dubbo", "dubbo-registry-app-127.0.0.1-2379.cache")
}

// write puts a file where the cache file will be.
func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// inFile returns what another process would read.
func inFile(t testing.TB, path string) map[string]string {
	t.Helper()
	entries, _, err := read(path)
	require.NoError(t, err)
	return entries
}

// open is Open with a Close at the end of the test.
func open(t testing.TB, path string, cfg Config) *File {
	f := Open(path, cfg)
	t.Cleanup(f.Close)
	return f
}
