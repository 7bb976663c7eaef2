// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTLSFilesThatAreBeingReplacedAreNoErrorToWhoHasReadThem(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificateFiles(t)
	_, otherCert, otherKey := certificateFiles(t)
	u := registryConfig{address: "a:1", params: map[string]string{"ca-cert-file": ca, "tls-cert-file": cert, "tls-key-file": key}}.url(t)
	s, err := newSettings(u, inRegistry)
	require.NoError(t, err)
	presented := func() [][]byte { // by a handshake
		config, err := s.Cluster.TLS.Config()
		require.NoError(t, err)
		assert.NotNil(t, config.RootCAs)
		return config.Certificates[0].Certificate
	}
	first := presented()

	// requireUsable takes what a re-export and a handshake use.
	requireUsable := func(want [][]byte, when string) {
		t.Helper()
		_, err := newSettings(u, inRegistry)
		require.NoError(t, err, when)
		assert.Equal(t, want, presented(), when)
	}
	for _, file := range []string{ca, cert, key} {
		require.NoError(t, os.Remove(file))
	}
	requireUsable(first, "there are no files")
	replace(t, cert, otherCert)
	requireUsable(first, "the certificate is replaced, its key and CA are not")
	replace(t, key, otherKey)
	replace(t, ca, otherCert)
	second := presented()
	assert.NotEqual(t, first, second)
	requireUsable(second, "all are replaced")
}

func replace(t *testing.T, file, by string) {
	t.Helper()
	content, err := os.ReadFile(by)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content, 0o600))
}
