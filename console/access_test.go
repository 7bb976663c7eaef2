// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// loginFile has the user alice with a password.
func loginFile(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "logins")
	require.NoError(t, os.WriteFile(path, []byte("# who may\nalice:"+string(hash)+"\n"), 0o600))
	return path
}

// everywhere is an address that others reach.
var everywhere = &net.TCPAddr{IP: net.IPv4zero, Port: 8090}

// asked is what a gate answers, and who it lets in.
func asked(t *testing.T, a access, at net.Addr, edit func(*http.Request)) (status int, user string, header http.Header) {
	t.Helper()
	gate, err := newGate(a, at, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user = userOf(r) }))
	require.NoError(t, err)
	request := httptest.NewRequest(http.MethodGet, "http://registry.example:8090/", nil)
	request.RemoteAddr = "10.0.0.7:4711"
	edit(request)
	recorder := httptest.NewRecorder()
	gate.ServeHTTP(recorder, request)
	return recorder.Code, user, recorder.Header()
}

func TestWhoHasALoginIsLetIn(t *testing.T) {
	t.Parallel()
	a := access{loginFile: loginFile(t, "s3cr3t"), write: true}
	for _, c := range []struct {
		user, password string
		want           int
	}{{"alice", "s3cr3t", http.StatusOK}, {"alice", "wrong", http.StatusUnauthorized}, {"bob", "s3cr3t", http.StatusUnauthorized}, {"", "", http.StatusUnauthorized}} {
		status, user, header := asked(t, a, everywhere, func(r *http.Request) {
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
		})
		require.Equal(t, c.want, status, c)
		if c.want == http.StatusOK {
			require.Equal(t, "alice", user)
			require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
		} else {
			require.Contains(t, header.Get("WWW-Authenticate"), "Basic")
		}
	}
}

func TestOnlyATrustedProxyNamesTheUser(t *testing.T) {
	t.Parallel()
	a := access{userHeader: "X-Forwarded-User", proxies: "192.168.0.0/16, 10.0.0.7/32", write: true}
	as := func(remote, name string) (int, string) {
		status, user, _ := asked(t, a, everywhere, func(r *http.Request) {
			r.RemoteAddr = remote
			r.Header.Set("X-Forwarded-User", name)
		})
		return status, user
	}
	status, user := as("10.0.0.7:1", "alice")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", user)
	status, _ = as("10.0.0.8:1", "alice")
	require.Equal(t, http.StatusUnauthorized, status, "it is no proxy of ours")
	status, _ = as("10.0.0.7:1", "")
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestThePageIsServedUnderItsNamesOnly(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{"registry.example:8090": http.StatusOK, "REGISTRY.example": http.StatusOK, "evil.example:8090": http.StatusForbidden} {
		status, _, _ := asked(t, access{hosts: "registry.example, other.example"}, everywhere, func(r *http.Request) { r.Host = host })
		require.Equal(t, want, status, host)
	}
}

func TestAccessThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("alice:plain\n"), 0o600))
	for want, a := range map[string]access{
		"needs a login":           {write: true},
		"go together":             {userHeader: "X-User"},
		"-page-key-file":          {certFile: "x"},
		"-trusted-proxies":        {userHeader: "X-User", proxies: "everybody"},
		"is not user:bcrypt":      {loginFile: empty},
		"no such file":            {loginFile: filepath.Join(t.TempDir(), "none")},
		"-user-header and -trust": {proxies: "10.0.0.0/8"},
	} {
		_, err := newGate(a, everywhere, nil)
		require.ErrorContains(t, err, want)
	}
	_, err := newGate(access{write: true}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	require.NoError(t, err, "nobody else reaches it")
}

func TestThePageIsServedWithTLS(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	pair := ca.Issue("page")
	c := configOf(etcdtest.Reserve(t).Endpoint())
	c.access.certFile, c.access.keyFile = pair.CertFile, pair.KeyFile
	console, err := start(c)
	require.NoError(t, err)
	t.Cleanup(console.close)
	require.Contains(t, console.url, "https://")
	pem, err := os.ReadFile(ca.CertFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	response, err := client.Get(console.url)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
