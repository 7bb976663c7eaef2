// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metrics/probe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask asks the handler.
func ask(t *testing.T, method, query string) (status int, header http.Header, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	StatusHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/status"+query, nil))
	return w.Code, w.Header(), w.Body.String()
}

func TestAProcessThatUsesNoEtcdIsReady(t *testing.T) {
	status, header, body := ask(t, http.MethodGet, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "application/json", header.Get("Content-Type"))
	assert.Equal(t, "no-store", header.Get("Cache-Control"))
	assert.Equal(t, 1, strings.Count(body, "\n"))
	var s Snapshot
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.True(t, s.Ready)
	assert.Contains(t, body, `"clusters":[]`)
	assert.Contains(t, body, `"cacheFiles":[]`)
	assert.NoError(t, probe.CheckReadiness(t.Context()))
}

func TestAProcessWhoseEtcdIsAwayIsNotReadyAndSaysWhy(t *testing.T) {
	r, err := newRegistry(registryConfig{address: "127.0.0.1:1", params: map[string]string{"retry.times": "0", "file-cache": "false"}, timeout: "100ms"}.url(t))
	require.NoError(t, err)
	t.Cleanup(r.Destroy)
	require.NoError(t, r.Register(common.NewURLWithOptions(common.WithProtocol("tri"), common.WithIp("10.0.0.1"), common.WithPort("20000"),
		common.WithInterface("org.a.Greeter"), common.WithPath("org.a.Greeter"), common.WithParamsValue(constant.RegistryRoleKey, "3"), common.WithParamsValue(constant.SideKey, "provider"))))
	status, _, body := ask(t, http.MethodGet, "?pretty")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Greater(t, strings.Count(body, "\n"), 10)
	var s Snapshot
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.False(t, s.Ready)
	require.Len(t, s.Clusters, 1)
	assert.Equal(t, s.Reasons, s.Clusters[0].Reasons)
	require.Len(t, s.Reasons, 1)
	assert.Contains(t, s.Reasons[0], "etcd at 127.0.0.1:1: 1 of 1 key(s) are not registered: ")
	assert.ErrorContains(t, probe.CheckReadiness(t.Context()), s.Reasons[0][:60])

	r.Destroy()
	status, _, _ = ask(t, http.MethodGet, "")
	assert.Equal(t, http.StatusOK, status, "what is not used any more is not wanted")
}

func TestTheStatusIsReadOnly(t *testing.T) {
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
		status, _, _ := ask(t, method, "")
		assert.Equal(t, want, status, method)
	}
}

// fields returns the names of all fields of a type in JSON: "clusters[].ready".
func fields(t *testing.T, of reflect.Type) (all []string) {
	t.Helper()
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		require.Regexp(t, "^[a-z][a-zA-Z]*$", name, "%v.%s", of, of.Field(i).Name)
		inner := of.Field(i).Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			inner, name = inner.Elem(), name+"[]"
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			for _, f := range fields(t, inner) {
				all = append(all, name+"."+f)
			}
			continue
		}
		all = append(all, name)
	}
	return all
}
