// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// javaEntries is what JDK 17 was told to store in testdata/java.cache.
var javaEntries = map[string]string{
	"greet/org.example.Greeter:1.0.0": "dubbo://10.0.0.1:20880/org.example.Greeter?application=演示&group=greet&side=provider&version=1.0.0 " +
		`override://0.0.0.0/org.example.Greeter?category=configurators&dynamic=false#!\ ` +
		"empty://10.0.0.9/org.example.Greeter?category=routers",
	"org.example.Empty":      "",
	`org.example.Odd:#1 !\=`: " tri://[::1]:50051/org.example.Odd?note=😀%20é${HOME}",
}

func TestReadsWhatJavaStored(t *testing.T) {
	data, err := os.ReadFile("testdata/java.cache")
	require.NoError(t, err)
	for name, file := range map[string]string{
		"Unix":    string(data),
		"Windows": strings.ReplaceAll(string(data), "\n", "\r\n"),
	} {
		entries, err := parse([]byte(file))
		require.NoError(t, err, name)
		require.Equal(t, javaEntries, entries, name)
	}
}

func TestWritesWhatJavaWouldStore(t *testing.T) {
	data, err := os.ReadFile("testdata/java.cache")
	require.NoError(t, err)
	at := time.Date(2025, 11, 3, 15, 4, 5, 0, time.UTC)
	java, written := strings.Split(string(data), "\n"), strings.Split(string(encode(javaEntries, at)), "\n")

	require.Equal(t, []string{"#Dubbo Registry Cache", "#Mon Nov 03 15:04:05 UTC 2025"}, written[:2])
	require.ElementsMatch(t, java[2:], written[2:], "the entries, in another order")
}

func TestReadsPropertiesWrittenByHand(t *testing.T) {
	entries, err := parse([]byte("\n  # a comment \\\n! another\na = 1\n  b\t:\t2  \nc 3\nd\n" +
		"e=x \\\n   y\\\r\n\tz\nf=\\t\\q\\u00e9\xe9\n=no key\ntwice=1\ntwice=2\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"a": "1", "b": "2  ", "c": "3", "d": "", "e": "x yz", "f": "\tqéé", "": "no key", "twice": "2",
	}, entries)
}

func TestHalfASurrogatePairIsReplaced(t *testing.T) {
	entries, err := parse([]byte(`a=\uD83Dx` + "\n" + `b=\uDE00\uD83D` + "\n" + `c=\uD83D\u0041` + "\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "\uFFFDx", "b": "\uFFFD\uFFFD", "c": "\uFFFDA"}, entries)
}

func TestDamagedContentIsAnError(t *testing.T) {
	for content, says := range map[string]string{
		"a=dubbo\\://10.0.0.1\\:208": "cut short",
		"a=1\nb=\\u12":               "cut short",
		"a=1\nb=\\u12\n":             "entry 2",
		"a=\\u+123\n":                "hexadecimal",
		"\\uXYZW=1\n":                "hexadecimal",
		"a=\\uD83D\\u\n":             "hexadecimal",
	} {
		_, err := parse([]byte(content))
		require.ErrorContains(t, err, says, content)
	}
}

// A file of nothing but continued lines is read in linear time.
func TestReadingIsNotQuadratic(t *testing.T) {
	for _, line := range []string{"\\\n", "a\\\n", "\\\\\\\n", "a=\n", "\\\\", "\\u0041"} {
		data := []byte(strings.Repeat(line, 1<<20) + "\n")
		begun := time.Now()
		_, err := parse(data)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 20*time.Second, "%q", line)
	}
}

func BenchmarkParseTenThousandURLs(b *testing.B) {
	data := encode(tenThousandURLs(), time.Now())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeTenThousandURLs(b *testing.B) {
	entries := tenThousandURLs()
	b.SetBytes(int64(len(encode(entries, time.Now()))))
	for b.Loop() {
		encode(entries, time.Now())
	}
}

func tenThousandURLs() map[string]string {
	url := "dubbo://10.0.0.1:20880/org.example.Greeter?" + strings.Repeat("a=b&", 60) + " "
	return map[string]string{"org.example.Greeter:1.0.0": strings.Repeat(url, 10_000)}
}
