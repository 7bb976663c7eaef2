// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serve shows a catalog until the test ends.
func serve(t *testing.T, c *catalog) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	gate, err := newGate(access{}, server.Listener.Addr(), handler(c, about{Run: 1, Etcd: "127.0.0.1:2379", Root: "/dubbo"}, nil, nil))
	require.NoError(t, err)
	server.Config.Handler = gate
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// answer is what a server says. Its body is closed with the test.
type answer struct {
	status int
	header http.Header
	body   io.Reader
}

// open asks for a path, at the host named.
func open(t *testing.T, server *httptest.Server, path, host string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	require.NoError(t, err)
	request.Host = host
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return answer{response.StatusCode, response.Header, response.Body}
}

func TestPageIsTheDocumentWithAStrictPolicy(t *testing.T) {
	t.Parallel()
	server := serve(t, newCatalog(newClock().now))
	for path, kind := range map[string]string{"/": "text/html", "/app.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
		response := open(t, server, path, "")
		require.Equal(t, http.StatusOK, response.status, path)
		require.Contains(t, response.header.Get("Content-Type"), kind)
		require.Equal(t, "nosniff", response.header.Get("X-Content-Type-Options"))
		csp := response.header.Get("Content-Security-Policy")
		require.Contains(t, csp, "default-src 'none'")
		require.NotContains(t, csp, "unsafe")
		body, err := io.ReadAll(response.body)
		require.NoError(t, err)
		require.NotContains(t, strings.ReplaceAll(string(body), "http://www.w3.org/2000/svg", ""), "http", "nothing comes from elsewhere")
	}
	require.Equal(t, http.StatusNotFound, open(t, server, "/page.go", "").status)
}

func TestPageIsNotShownUnderAStrangersName(t *testing.T) {
	t.Parallel()
	server := serve(t, newCatalog(newClock().now))
	for host, want := range map[string]int{
		"localhost:8090":    http.StatusOK,
		"127.0.0.1":         http.StatusOK,
		"[::1]:8090":        http.StatusOK,
		"evil.example:8090": http.StatusForbidden,
		"10.0.0.1":          http.StatusForbidden,
	} {
		require.Equal(t, want, open(t, server, "/events", host).status, host)
	}
}

func TestStreamBeginsWithAllThereIsAndGoesOnWithChanges(t *testing.T) {
	t.Parallel()
	c := newCatalog(newClock().now)
	c.Notify(added(t, provider("10.0.0.1:20000", "")))
	server := serve(t, c)
	lines := bufio.NewReader(open(t, server, "/events", "").body)
	next := func() (m message) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				require.NoError(t, json.Unmarshal([]byte(data), &m))
				return m
			}
		}
	}

	first := next()
	require.Equal(t, &about{Run: 1, Etcd: "127.0.0.1:2379", Root: "/dubbo"}, first.About)
	require.Len(t, first.Changed, 1)
	require.False(t, first.Loaded)

	c.Notify(added(t, provider("10.0.0.2:20000", "")))
	second := next()
	require.Nil(t, second.About)
	require.Equal(t, []string{"10.0.0.1:20000", "10.0.0.2:20000"}, addresses(second.Changed[0].Providers))

	c.NotifyAll(nil, func() {})
	third := next()
	require.Equal(t, []string{greeter}, third.Gone)
	require.True(t, third.Loaded)
}
