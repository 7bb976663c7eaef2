// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParse: no bytes whatever are a panic, and what was read is the same
// after it was written and read again.
func FuzzParse(f *testing.F) {
	java, err := os.ReadFile("testdata/java.cache")
	require.NoError(f, err)
	f.Add(java)
	f.Add([]byte("a=b\\\n c\r\n#d\\\n\\u00e9\\uD83D\\uDE00 : \xff\n"))
	f.Add([]byte("=\n:\n\\\n"))
	f.Add([]byte("a=\\u12"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parse(data)
		if err != nil {
			return
		}
		again, err := parse(encode(entries, time.Now()))
		require.NoError(t, err)
		require.Equal(t, entries, again)
	})
}

// FuzzSetGet: another process gets what was set.
func FuzzSetGet(f *testing.F) {
	f.Add("greet/org.example.Greeter:1.0.0", "dubbo://10.0.0.1:20880/a?b=c", "tri://h:1")
	f.Add(" #!=:\\", "\\", "${a}")
	f.Add("演示", "é", "😀\u3000\u0085")
	f.Add("", "", "\x00\x7f")
	f.Fuzz(func(t *testing.T, key, url1, url2 string) {
		key, url1, url2 = strings.ToValidUTF8(key, ""), strings.ToValidUTF8(url1, ""), strings.ToValidUTF8(url2, "")
		want := splitURLs(url1 + " " + url2) // without white space, which no URL has

		path := newPath(t)
		file := Open(path, Config{Delay: time.Hour})
		file.Set(key, want)
		file.Close()

		file = open(t, path, Config{})
		urls, saved, ok := file.Get(key)
		require.True(t, ok)
		require.Equal(t, want, urls)
		require.False(t, saved.IsZero())
		require.Empty(t, logs.about("WARN", path))
	})
}
