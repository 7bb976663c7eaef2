// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDefaultPathIsThatOfDubboForJava(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)

	for _, tt := range []struct{ application, address, name string }{
		{"demo-consumer", "127.0.0.1:2379", "dubbo-registry-demo-consumer-127.0.0.1-2379.cache"},
		{"demo", "[::1]:2379", "dubbo-registry-demo-[--1]-2379.cache"},
		{"演示", "a:2379", "dubbo-registry-演示-a-2379.cache"},
		{`../a\b*?"<>|` + "\x00\n\xff c", "a:2379", "dubbo-registry-..-a-b----------c-a-2379.cache"},
		{"", "", "dubbo-registry--.cache"},
	} {
		path, err := DefaultPath(tt.application, tt.address)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(home, ".dubbo", tt.name), path)
	}
}

func TestDefaultPathOfALongNameFitsIntoAFileName(t *testing.T) {
	many := strings.Repeat("etcd-with-a-long-名.example.org:2379,", 30)
	path, err := DefaultPath("demo", many)
	require.NoError(t, err)
	name := filepath.Base(path)
	require.LessOrEqual(t, len(name), 255-len(".lock"))
	require.True(t, utf8.ValidString(name))

	other, err := DefaultPath("demo", many+"one-more:2379")
	require.NoError(t, err)
	require.NotEqual(t, path, other)
}

func TestDefaultPathWithoutHOMEAsksTheUserDatabase(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "")
	if path, err := DefaultPath("demo", "a:2379"); err != nil {
		require.ErrorContains(t, err, "parameter file")
	} else {
		require.True(t, filepath.IsAbs(path), path)
	}
}
